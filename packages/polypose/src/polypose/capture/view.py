"""`polypose view`: any file of people in 3D as a page in the browser."""

from __future__ import annotations

import webbrowser
from pathlib import Path

from posedata.terminal import print_line
from posedata.writing import keep_input

from polypose.capture.reading import Say, read_motion


def view(
    path: Path,
    out: Path | None = None,
    *,
    form: str | None = None,
    sequence: str | None = None,
    unit: str | None = None,
    show: bool = False,
    say: Say = print_line,
) -> Path:
    """Write the page of a file; a page itself is only shown.

    Args:
        out: the page; NAME.view.html in the working folder, if left out.
        form, sequence, unit: as of `polypose.capture.reading.read_motion`.
        show: open it in the browser.

    Raises:
        FileNotFoundError, ValueError: nothing is there, nothing in it is known, the page cannot be written.
    """
    from polypose.capture.write.html import write_html
    from polypose.capture.write.saving import check_suffix

    if path.suffix.lower() in (".html", ".htm") and path.is_file() and out is None:
        page = path
    else:
        page = out or Path(f"{path.resolve().stem}.view.html")
        if page.suffix != ".html":
            raise ValueError(f"{page}: the page's name ends in .html; name it so")
        check_suffix(page)
        keep_input(page, path)
        write_html(read_motion(path, form, sequence, say, unit), page, path.name)
        say(f"{page}: open it in a browser")
    if show and not webbrowser.open(page.resolve().as_uri()):
        say(f"{page}: no browser was found here; open it in one")
    return page
