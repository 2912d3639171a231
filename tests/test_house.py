"""Who imports whom, read from the source of every package and app: the table on the docs' first page."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES: dict[str, set[str]] = {
    "contrastive": set(),
    "posediff": set(),
    "posedata": set(),
    "poseenc": {"posedata"},
    "pointcloud_weak": {"posedata", "poseenc"},
    "polypose": {"posedata", "poseenc", "posediff", "pointcloud_weak"},
}
"""What of the workspace each package may import."""
ROOMS = (
    *("lazy", "errors", "terminal", "processes", "lock", "sharing", "machine", "ranges", "writing", "html"),
    *("open3d_loader", "_trees", "skeleton", "figures", "arrays", "geometry", "store", "stature"),
    *("orientation", "plausible", "keypoints", "keypoint_files", "views", "readers", "detect", "scoring"),
    *(
        "metrics",
        "prepare",
        "inspection",
        "synthetic",
        "source",
        "splits",
        "hand_source",
        "results",
        "records",
        "cli",
    ),
)
"""Of posedata, each of which imports only those before it."""
TRAINER = "posetrain"
"""What all apps share."""


@dataclass(frozen=True)
class Import:
    """One name that a module imports: in full, the module that it comes from, whether for types alone."""

    importer: str
    name: str
    module: str
    typing: bool

    def __str__(self) -> str:
        return f"{self.importer} imports {self.module}"

    @property
    def tops(self) -> tuple[str, str]:
        return self.importer.partition(".")[0], self.module.partition(".")[0]


def sources(root: Path = ROOT) -> dict[str, str]:
    """The text of every module of packages and apps by dotted name; a package's is its `__init__`."""
    found = {}
    for folder in [*root.glob("packages/*/src"), root / "apps"]:
        for file in sorted(folder.rglob("*.py")):
            parts = file.relative_to(folder).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = file.read_text(encoding="utf-8")
    return found


def imports(texts: Mapping[str, str]) -> list[Import]:
    """Every import of a module of `texts` by another, also those inside functions.

    A name that a package loads when asked (declared under `if TYPE_CHECKING` in its `__init__`) comes from
    the module that has it.
    """
    trees = {name: ast.parse(text) for name, text in texts.items()}
    packages = {name for name in texts if any(other.startswith(f"{name}.") for other in texts)}
    named = {name: list(_named(name, tree, name in packages)) for name, tree in trees.items()}
    homes = {
        f"{package}.{name.rpartition('.')[2]}": name
        for package in packages
        for name, typing in named[package]
        if typing
    }
    found = []
    for importer, names in named.items():
        for name, typing in names:
            module = homes.get(name, name) if not (importer in packages and typing) else name
            while module and module not in texts:
                module = module.rpartition(".")[0]
            if module and module != importer:
                found.append(Import(importer, name, module, typing))
    return found


def _named(importer: str, tree: ast.Module, is_package: bool) -> Iterator[tuple[str, bool]]:
    """Full names that a module imports, and whether only a type checker does."""
    checking = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    here = importer.split(".") if is_package else importer.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, id(node) in checking) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = here[: len(here) - node.level + 1] if node.level else []
            module = ".".join([*above, *filter(None, [node.module])])
            yield from ((f"{module}.{alias.name}", id(node) in checking) for alias in node.names)


def circle(found: list[Import]) -> list[str]:
    """Modules that import each other in a ring, the first again at the end; none if there is no such ring."""
    graph: dict[str, set[str]] = {}
    for each in found:
        if not each.typing:
            graph.setdefault(each.importer, set()).add(each.module)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def upward(found: list[Import], packages: Mapping[str, set[str]] = PACKAGES) -> list[str]:
    """Imports of a package that the table does not allow; the trainer's of an app."""
    out = []
    for each in found:
        top, other = each.tops
        allowed = {*packages} if top == TRAINER else packages.get(top)
        if allowed is not None and other not in allowed | {top}:
            out.append(str(each))
    return out


def uphill(found: list[Import], package: str = "posedata", rooms: tuple[str, ...] = ROOMS) -> list[str]:
    """Imports of a package's room by one before it; types alone do not count."""
    place = {f"{package}.{room}": number for number, room in enumerate(rooms)}
    out = []
    for each in found:
        if not each.typing and each.tops == (package, package) and each.importer != package:
            here, there = (".".join(name.split(".")[:2]) for name in (each.importer, each.module))
            if there != package and place[here] < place[there]:
                out.append(str(each))
    return out


def across_apps(found: list[Import], packages: Mapping[str, set[str]] = PACKAGES) -> list[str]:
    """Imports of an app by another."""
    shared = {*packages, TRAINER}
    return [str(each) for each in found if each.tops[0] != each.tops[1] and shared.isdisjoint(each.tops)]


def across_borders(found: list[Import]) -> list[str]:
    """Imports of a private module or name by a module that is not in the folder that holds it."""
    out = []
    for each in found:
        parts = each.name.split(".")
        for i, part in enumerate(parts):
            inside = f"{each.importer}.".startswith(".".join([*parts[:i], ""])) and i > 0
            if part.startswith("_") and not part.startswith("__") and not inside:
                out.append(f"{each.importer} imports {each.name}")
    return out


def test_the_house_keeps_its_rules() -> None:
    texts = sources()
    found = imports(texts)
    assert len(found) > 1000
    assert {name.partition(".")[0] for name in texts} - {*PACKAGES, TRAINER} == {"unihpr", "vvipe", "unipose"}
    assert circle(found) == []
    assert upward(found) == []
    assert uphill(found) == []
    assert across_apps(found) == []
    assert across_borders(found) == []


def test_every_fault_would_be_found() -> None:
    texts = {
        "posedata": "if TYPE_CHECKING:\n    from posedata.lens import Camera\n",
        "posedata.lens": "from . import frame",
        "posedata.frame": "def box():\n    from posedata import Camera",
        "posedata.room": "",
        "posedata.room._inner": "",
        "posedata.room.open": "from ._inner import part",
        "posedata.door": "from posedata.room._inner import part\nimport poseenc.pose",
        "poseenc": "",
        "poseenc.pose": "if TYPE_CHECKING:\n    import unihpr.use",
        "posetrain": "import poseenc\nimport vvipe",
        "unihpr": "",
        "unihpr.use": "from vvipe import use\nfrom posetrain import loop\nfrom posedata.lens import _lens",
        "vvipe": "",
        "vvipe.use": "",
    }
    found = imports(texts)
    ring = circle(found)
    assert ring[0] == ring[-1]
    assert {*ring} == {"posedata.lens", "posedata.frame"}
    assert upward(found) == [
        "posedata.door imports poseenc.pose",
        "poseenc.pose imports unihpr.use",
        "posetrain imports vvipe",
    ]
    assert uphill(found, rooms=("frame", "lens", "room", "door")) == [
        "posedata.frame imports posedata.lens",
    ]
    assert across_apps(found) == ["unihpr.use imports vvipe.use"]
    assert across_borders(found) == [
        "posedata.door imports posedata.room._inner.part",
        "unihpr.use imports posedata.lens._lens",
    ]
