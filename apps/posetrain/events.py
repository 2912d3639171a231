"""Curves for TensorBoard, written when they are logged, so that a full disk ends the training in one line.

TensorBoard's own writer works in a thread, whose traceback nobody catches.
"""

from __future__ import annotations

import io
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accelerate.tracking import GeneralTracker, on_main_process
from posedata.errors import room_for
from posedata.writing import append


class Events(GeneralTracker):
    """An event file in a folder; a resumed training begins another one there.

    Args:
        folder: where TensorBoard looks for a run.

    Attributes:
        purge: the step from which on what earlier files say is forgotten; None keeps all.
    """

    name = "tensorboard"
    requires_logging_directory = True

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.purge: int | None = None
        self.file: Path | None = None

    @property
    def tracker(self) -> Path | None:
        """The event file, once there is one."""
        return self.file

    @on_main_process
    def start(self) -> None:
        """Begin a file.

        Raises:
            OSError: there is no room for it.
        """
        from tensorboard.compat.proto.event_pb2 import SessionLog

        self.file = self.folder / f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}.{os.getpid()}"
        with room_for(self.file):
            self.folder.mkdir(parents=True, exist_ok=True)
        self._write(file_version="brain.Event:2")
        if self.purge is not None:
            self._write(step=self.purge, session_log=SessionLog(status=SessionLog.START))

    @on_main_process
    def log(self, values: Mapping[str, float], step: int | None = None, **_: Any) -> None:
        """Add numbers by name, all or none.

        Raises:
            OSError: there is no room for them.
        """
        from tensorboard.compat.proto.summary_pb2 import Summary

        numbers = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._write(step=step, summary=Summary(value=numbers))

    def _write(self, **content: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        assert self.file is not None, "start first"
        record = io.BytesIO()
        RecordWriter(record).write(Event(wall_time=time.time(), **content).SerializeToString())
        append(self.file, record.getvalue())
