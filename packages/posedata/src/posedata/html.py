"""One self-contained HTML file: headings, tables, figures as embedded PNG."""

import base64
import html
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from posedata.writing import write_text

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0 } td, th { padding: .25rem .8rem; text-align: right }
td:first-child, th:first-child { text-align: left } tr + tr { border-top: 1px solid #ddd }
img { max-width: 100% } figure { margin: 1rem 0 } figcaption, .note { color: #555 }
summary { font-size: 1.3rem; margin: 1rem 0; cursor: pointer }
pre { background: #f5f5f5; padding: .6rem; overflow-x: auto }
"""


class Report:
    """Collects sections and writes them at once."""

    def __init__(self, title: str) -> None:
        self.title, self._folded = title, False
        self.parts = [f"<h1>{html.escape(title)}</h1>"]

    def section(self, title: str, note: str = "") -> None:
        """Begin a section."""
        self._unfold()
        self.parts.append(f"<h2>{html.escape(title)}</h2>")
        if note:
            self.parts.append(f'<p class="note">{html.escape(note)}</p>')

    def fold(self, title: str, note: str = "") -> None:
        """Begin a section that is closed until it is asked for; the next `section` ends it."""
        self.parts.append(f"<details><summary>{html.escape(title)}</summary>")
        if note:
            self.parts.append(f'<p class="note">{html.escape(note)}</p>')
        self._folded = True

    def _unfold(self) -> None:
        if self._folded:
            self.parts.append("</details>")
            self._folded = False

    def table(self, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Add a table."""
        lines = ["".join(f"<th>{html.escape(str(cell))}</th>" for cell in header)]
        lines += ["".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) for row in rows]
        self.parts.append("<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>")

    def figure(self, figure: Any, caption: str) -> None:
        """Add a matplotlib figure and close it."""
        from matplotlib import pyplot

        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=110, bbox_inches="tight")
        pyplot.close(figure)
        data = base64.b64encode(file.getvalue()).decode()
        self.parts.append(
            f'<figure><img alt="{html.escape(caption)}" src="data:image/png;base64,{data}">'
            f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        )

    def text(self, text: str) -> None:
        """Add preformatted text, a recipe for instance."""
        self.parts.append(f"<pre>{html.escape(text)}</pre>")

    def write(self, path: Path) -> Path:
        """Write the file."""
        self._unfold()
        head = f"<meta charset=utf-8><title>{html.escape(self.title)}</title><style>{STYLE}</style>"
        write_text(
            path,
            f"<!doctype html><html lang=en><head>{head}</head><body>{''.join(self.parts)}</body></html>\n",
        )
        return path
