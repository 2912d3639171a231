"""The one place that prints: text as it is, whatever a file calls its people, actions or itself."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

_HIDDEN = re.compile(
    r"[\x00-\x1f\x7f-\x9f"  # C0, DEL, C1: colours, cursor, clearing, titles, new lines
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidirectional controls: text in another order
    r"\u2028\u2029\ud800-\udfff]"  # line separators; bytes of a file's name that are not UTF-8
)


def visible(text: str) -> str:
    """The text with control characters spelled out (`\\x1b`), so that it prints on one line as it is."""
    return _HIDDEN.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


class Terminal(Console):
    """A rich console that takes text for text: no markup, no emoji codes, control characters made visible.

    A string is one line; print several one by one. Styles are given by `styled` or `style=`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Every string that is printed and every cell of a table comes by here."""
        return super().render_str(visible(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """And whatever else is shown, here; where it breaks lines it stays broken."""
        for segment in super().render(renderable, options):
            if not segment.control and _HIDDEN.search(segment.text):
                text = "\n".join(map(visible, segment.text.split("\n")))
                segment = Segment(text, segment.style)
            yield segment


def styled(*parts: str | tuple[str, str]) -> Text:
    """Parts in a row, each a text or (text, style)."""
    spelled = [visible(part) if isinstance(part, str) else (visible(part[0]), part[1]) for part in parts]
    return Text.assemble(*spelled)


def print_line(text: str) -> None:
    """`print`, for one line that may name what comes out of files; at once, also into a pipe."""
    print(visible(text), flush=True)
