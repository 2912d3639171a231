"""Text of motion capture files: any of the encodings and line ends that their exporters write."""

from __future__ import annotations

from pathlib import Path

MOST_BYTES = 1 << 29


def motion_text(path: Path) -> str:
    """The text with newlines alone: UTF-8 or UTF-16 by their byte-order marks, else UTF-8, else Latin-1.

    Raises ValueError for a file of more than 512 MiB.
    """
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"{path}: is larger than {MOST_BYTES >> 20} MiB; cut it into several recordings")
    raw = path.read_bytes()
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = raw.decode("utf-16", errors="replace")
    else:
        raw = raw.removeprefix(b"\xef\xbb\xbf")
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError:
            text = raw.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")
