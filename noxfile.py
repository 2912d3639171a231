"""Every command of the project: `pip install nox uv`, then `nox -s quickstart` or `nox -s tests`."""

import os
from pathlib import Path

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "uv"
nox.options.sessions = ["tests", "lint", "types"]
nox.options.reuse_existing_virtualenvs = True

# Tests start many processes; without bytecode on disk each of them would compile torch again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

PACKAGES = ("posedata", "contrastive", "posediff", "poseenc", "pointcloud-weak", "polypose")
WORKSPACE = [*(f"packages/{name}" for name in PACKAGES), "."]
SOURCES = ("apps", "packages", "tests", "docs", "noxfile.py")

# uv installs wheels side by side, so typer's own `typer` script may land after the workspace's front
FRONT_LAST = ("--no-deps", "--reinstall-package", "polypose-apps", "-e", ".")


@nox.session
def quickstart(session: nox.Session) -> None:
    """Train, evaluate and report UniHPR on the synthetic human: the whole thing in one command."""
    install_workspace(session)
    session.run("typer", "apps/unihpr", "train", "--recipe", "quickstart", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """All tests, of every package and across packages, in one environment."""
    install_workspace(session, "test", "docs")  # the documentation's own code is tested too
    session.install(*every_test_requirement())
    own = [f"--ignore=tests/{name}" for name in ("hosts", "ray", "web")]  # which have sessions of their own
    session.run("pytest", *own, *every_core(), *session.posargs, env=one_thread())


@nox.session
@nox.parametrize("name", PACKAGES, ids=PACKAGES)
def tests_package(session: nox.Session, name: str) -> None:
    """One package's tests in an environment that holds it and what it declares, nothing else."""
    folders = [*local_dependencies(name), f"packages/{name}"]
    session.install(*editable(folders), *group(f"packages/{name}", "test"))
    session.chdir(f"packages/{name}")
    session.run("pytest", *every_core(1), *session.posargs, env=one_thread())


@nox.session
@nox.parametrize("name", PACKAGES, ids=PACKAGES)
def minimal(session: nox.Session, name: str) -> None:
    """One package's tests with the oldest version of everything that it and they declare."""
    folders = [*local_dependencies(name), f"packages/{name}"]
    oldest = ("--resolution", "lowest-direct", "--upgrade")
    session.install(*oldest, *editable(folders), *group(f"packages/{name}", "test"))
    session.chdir(f"packages/{name}")
    session.run("pytest", *every_core(1), *session.posargs, env=one_thread())


@nox.session
def tests_web(session: nox.Session) -> None:
    """The pages of capture and search in Debian's Chromium (apt-get install chromium); skipped without it."""
    install_workspace(session, "test")
    session.install(*group("packages/polypose", "test"), *group("packages/polypose", "web"))
    session.run("pytest", "tests/web", "-rs", *session.posargs, env=one_thread())


@nox.session
def tests_hosts(session: nox.Session) -> None:
    """Training on two hosts, made of network namespaces; skipped, saying so, where none may be made."""
    install_workspace(session, "test")
    session.run("pytest", "tests/hosts", "-rs", *session.posargs, env=one_thread())


@nox.session
def tests_ray(session: nox.Session) -> None:
    """An index made by a Ray cluster of two nodes, both on this machine."""
    install_workspace(session, "test")
    session.install(*group("packages/polypose", "test"), *editable(["packages/polypose[ray]"]))
    session.run("pytest", "tests/ray", "-rs", *session.posargs, env=one_thread())


@nox.session
def lint(session: nox.Session) -> None:
    """Style and formatting."""
    session.install(*group(".", "lint"))
    session.run("ruff", "check", *SOURCES)
    session.run("ruff", "format", "--check", *SOURCES)


@nox.session
def types(session: nox.Session) -> None:
    """Static types."""
    install_workspace(session, "types")
    session.run("mypy")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation, warnings as errors; tables must agree with docs/results."""
    install_workspace(session, "docs")
    pages = map(str, sorted(Path("docs/pages").glob("**/*.md")))
    session.run("python", "-m", "posedata.results", "--check", "README.md", *pages)
    quiet = {"NO_MKDOCS_2_WARNING": "1"}  # the theme's banner about the future
    session.run("mkdocs", "build", "--strict", "-f", "docs/mkdocs.yml", *session.posargs, env=quiet)


@nox.session
def bench(session: nox.Session) -> None:
    """Every benchmark, or those named, each with its JSON in runs/bench; `-- --device cuda`: a GPU's rows."""
    install_workspace(session, "test")
    session.run("python", "tests/benchmarks/run.py", *session.posargs)


@nox.session
def mutation(session: nox.Session) -> None:
    """Which small changes of the code the tests notice (docs/pages/mutation.md); name modules, or all."""
    install_workspace(session, "test", "mutation")
    session.run("python", "tests/mutate.py", *session.posargs, env=one_thread())


@nox.session(venv_backend="none")
def dev(session: nox.Session) -> None:
    """Make `.venv` with everything editable and every tool."""
    session.run("uv", "venv", "--allow-existing", ".venv")
    tools = [tool for name in ("test", "lint", "types", "docs") for tool in group(".", name)]
    tools += every_test_requirement()
    install = ("uv", "pip", "install", "--python", ".venv")
    session.run(*install, *editable(WORKSPACE), *tools)
    session.run(*install, *FRONT_LAST)


def install_workspace(session: nox.Session, *groups: str) -> None:
    """The six packages and the apps, editable, with the root's dependency groups."""
    session.install(*editable(WORKSPACE), *(tool for name in groups for tool in group(".", name)))
    session.install(*FRONT_LAST)


def editable(folders: list[str]) -> list[str]:
    return [part for folder in folders for part in ("-e", folder)]


def group(folder: str, name: str) -> list[str]:
    """Requirements of a dependency group of a pyproject.toml."""
    return list(nox.project.dependency_groups(nox.project.load_toml(f"{folder}/pyproject.toml"), name))


def every_test_requirement() -> list[str]:
    """What the tests of any package need."""
    return sorted({tool for name in PACKAGES for tool in group(f"packages/{name}", "test")})


def local_dependencies(name: str) -> list[str]:
    """Folders of the workspace's packages that a package depends on, so that they are installed editable."""
    project = nox.project.load_toml(f"packages/{name}/pyproject.toml")["project"]
    needed = {requirement.partition(" @ ")[0] for requirement in project["dependencies"]}
    return [f"packages/{other}" for other in PACKAGES if other in needed]


def every_core(each: int = 2) -> tuple[str, ...]:
    """Tests by two workers a core, eight at most, a module by one of them: what it trains, it trains once.

    Two, since many tests wait: for processes that they start, for files; of one package few do, and each
    worker imports torch anew. The modules that train come first, as collected, so that none is left for the
    end. `-- -n 0` undoes it.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return ("-n", str(min(each * cores, 8)), "--dist", "loadscope", "--no-loadscope-reorder")


def one_thread() -> dict[str, str]:
    """Tests are small: a second thread costs more than it brings."""
    return {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
