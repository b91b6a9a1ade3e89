"""Continuous: a directory whose files go to S3 while the program writes them.

A file is sent when it has not changed between two looks, so that one being written is not
sent half. What is deleted stays in S3, as on AWS. Checkpoints and outputs of processing
jobs with S3UploadMode Continuous are kept in S3 like this.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from sagestack.engine.channels import files_of, upload_files
from sagestack.engine.host import AwsSession

LOG = logging.getLogger(__name__)
INTERVAL = 1.0
"""Seconds between two looks."""

Stamp = tuple[int, int]
"""A file's size in bytes and time of change in nanoseconds."""


class ContinuousUpload:
    """Keeps S3 like the directory until `close`. What lies there at first is there in S3."""

    def __init__(
        self, aws: AwsSession, directory: Path, uri: str, *, kms_key_id: str | None = None
    ) -> None:
        self._aws, self._directory, self._uri = aws, directory, uri
        self._kms_key_id = kms_key_id
        self._sent = self._look()
        self._seen: dict[Path, Stamp] = dict(self._sent)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="continuous", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """The program has ended: send the rest. Raises what the sending raises."""
        self._closed.set()
        self._thread.join()
        now = self._look()
        self._send([path for path, stamp in now.items() if self._sent.get(path) != stamp], now)

    def _run(self) -> None:
        while not self._closed.wait(INTERVAL):
            now = self._look()
            settled = [
                path
                for path, stamp in now.items()
                if self._seen.get(path) == stamp and self._sent.get(path) != stamp
            ]
            self._seen = now
            try:
                self._send(settled, now)
            except Exception:
                LOG.exception("uploads to %s are tried again", self._uri)

    def _send(self, paths: list[Path], stamps: dict[Path, Stamp]) -> None:
        upload_files(self._aws, paths, self._directory, self._uri, kms_key_id=self._kms_key_id)
        self._sent |= {path: stamps[path] for path in paths}

    def _look(self) -> dict[Path, Stamp]:
        found = {}
        for path in files_of(self._directory):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            found[path] = (status.st_size, status.st_mtime_ns)
        return found
