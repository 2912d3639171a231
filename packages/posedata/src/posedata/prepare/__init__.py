"""`posedata prepare FORMAT SRC OUT`: any data set as its owners distribute it, to a pose store.

A reader is a `Format`: one frozen dataclass in `posedata.readers`, whose fields are the options that the
command line offers. It says in `plan` which units there are (a unit is one sequence, or whatever part can be
read by itself) and in `read` gives the clips of one of them. Nothing else is its business: processes, the
progress bar, resuming, checksums, camera table, name lists and the store's columns are the framework's.

    @register
    @dataclass(frozen=True)
    class Example(Format):
        name = "example"
        title = "Example: one text file a recording"
        terms = "as its source states"
        totals = (Total("training frames", 1_234, "Example paper, table 1", subjects=("S1",)),)

        unit: str = option("m", "metres per file unit")

        def plan(self, source, context):
            units = [Unit(file.stem, (file,)) for file in files_of(source, ".txt")]
            return Plan(units, source="Example", fps=50.0)

        def read(self, unit, context):
            yield Clip(joints, subject="anna", sequence=unit.name, action="walk")

What a reader keeps to:

- `plan` and `read` are run in different processes: what `read` needs travels in `Unit.detail` (plain data)
  or lies in `context.scratch`, where `context.unpacked` puts what a file that cannot be read in parts holds.
- `read` yields one clip a view (or a person) and is as lazy as the data allows: clips are written as they
  come, and `Clip.images` is an iterator that is drawn from batch by batch.
- Same source and options, same clips: no clock, no global random state, no order of a set.
- What is odd but can be lived with (a missing camera, a video shorter than its annotations, an unknown
  subject, fewer annotations than frames) is told by `context.note("FILE: what; cure")`. `--strict` makes
  notes errors; without it they are printed and kept in the store's `sources.json`. What is left out because
  the data set marks it so (a crowd in COCO) is told by `context.tell`, which is no error. Nothing that was
  found is left out without either; where it is many, one note counts them.
- Files are listed by `posedata.prepare.listing`, which follows links and passes over what operating systems
  leave behind. A zip file as SRC is unpacked before `plan` is called.
- What cannot be read is a ValueError or FileNotFoundError of one line that names file, field and cure. One
  raised by `plan` ends the run; one raised by `read` is a note, unless no unit at all could be read.
- Paths that come out of a file (an image's name in an annotation) go through `inside`.

Then `posedata.readers.__init__` imports the module, so that it is registered, and
`python -m posedata.prepare.offers` writes down the format's title and options for `posedata prepare --help`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from posedata.prepare.format import (
        FORMATS,
        Clip,
        ClipCamera,
        Context,
        Format,
        Plan,
        Total,
        Unit,
        get_format,
        inside,
        option,
        register,
    )

__all__ = [
    "FORMATS",
    "Clip",
    "ClipCamera",
    "Context",
    "Format",
    "Plan",
    "Total",
    "Unit",
    "get_format",
    "inside",
    "option",
    "register",
]

_HOMES = {
    "posedata.prepare.format": (
        "FORMATS",
        "Clip",
        "ClipCamera",
        "Context",
        "Format",
        "Plan",
        "Total",
        "Unit",
        "get_format",
        "inside",
        "option",
        "register",
    ),
}
"""Module by module, what is imported from it when it is first asked for."""

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        for module, names in _HOMES.items():
            if name in names:
                globals()[name] = value = getattr(import_module(module), name)
                return value
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
