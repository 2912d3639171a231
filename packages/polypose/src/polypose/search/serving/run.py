"""`polypose serve`: the page at 127.0.0.1, for who sits at this machine."""

from __future__ import annotations

import socket
import webbrowser
from collections.abc import Callable
from pathlib import Path

from polypose.search.embedding import Embedder

HOST = "127.0.0.1"


def serve(
    index: Path,
    embedder: Embedder,
    port: int,
    detector: str,
    network: str,
    show: bool,
    say: Callable[[str], None],
) -> None:
    """Serve until it is stopped.

    Raises:
        FileNotFoundError, ValueError: there is no index, or other models made it.
        OSError: the port is taken.
        ModuleNotFoundError: FastAPI or uvicorn is not installed.
    """
    try:
        import uvicorn

        from polypose.search.serving.app import make_app
    except ModuleNotFoundError as error:
        missing = f"{error.name} is not installed: pip install 'polypose[search,serve]'"
        raise ModuleNotFoundError(missing) from None
    from polypose.search.serving.library import Library
    from polypose.search.serving.looking import Looker

    library = Library(index, embedder)
    with socket.socket() as bound, Looker(detector, network) as looker:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((HOST, port))
        except OSError:
            raise OSError(
                f"port {port} is taken on this machine; give another: --port 0 takes a free one"
            ) from None
        address = f"http://{HOST}:{bound.getsockname()[1]}/"
        say(f"{index}: {len(library.index):,} poses at {address}; stop with Ctrl-C")
        if show:
            webbrowser.open(address)
        server = uvicorn.Server(uvicorn.Config(make_app(library, looker.look), log_level="warning"))
        server.run(sockets=[bound])
