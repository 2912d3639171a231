"""A network by LiteRT, of which only what is asked for is computed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np


class Network:
    """A network, one picture at a time.

    Args:
        threads: of the processor.
        outputs: which of its outputs are computed and given, by their number in the file; all if left out.

    Raises:
        ValueError: the file is no network, or LiteRT is not here.
        FileNotFoundError: there is no such file.
    """

    def __init__(self, path: Path, threads: int, outputs: Sequence[int] | None = None) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError:
            raise ValueError("blazepose needs LiteRT; pip install 'polypose[video]'") from None
        content = path.read_bytes()
        try:
            with _silent():
                if outputs is not None:
                    content = with_outputs(content, outputs)
                self._run: Any = Interpreter(model_content=content, num_threads=threads)
                self._run.allocate_tensors()
        except Exception:  # what flatbuffers and LiteRT raise of a damaged file is anything
            raise ValueError(f"{path}: is no whole network; polypose get blazepose") from None
        self._in = self._run.get_input_details()[0]["index"]
        self._out = [detail["index"] for detail in self._run.get_output_details()]

    def __call__(self, image: np.ndarray) -> list[np.ndarray]:
        """The outputs of a picture (H, W, 3) float32, in the order asked for."""
        self._run.set_tensor(self._in, image[None])
        self._run.invoke()
        return [self._run.get_tensor(index) for index in self._out]


def with_outputs(content: bytes, outputs: Sequence[int]) -> bytes:
    """A TFLite file with these outputs alone, and of its operations those that they need.

    BlazePose's landmark networks draw the person's silhouette too, which takes half of their time.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    (graph,) = model.subgraphs
    kept = [int(graph.outputs[number]) for number in outputs]
    needed, operations = set(kept), []
    for operation in reversed(graph.operators):
        if needed & {int(tensor) for tensor in operation.outputs}:
            needed |= {int(tensor) for tensor in operation.inputs}
            operations.append(operation)
    graph.operators, graph.outputs = operations[::-1], np.array(kept, np.int32)
    for signature in model.signatureDefs or ():
        signature.outputs = [output for output in signature.outputs if output.tensorIndex in kept]
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@contextmanager
def _silent() -> Iterator[None]:
    """Without what the runtime writes to the terminal by itself."""
    keep = os.dup(2)
    with Path(os.devnull).open("w") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(keep, 2)
        os.close(keep)
