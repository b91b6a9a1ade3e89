"""Continuous: a directory whose files go to S3 while the program writes them.

A file is sent when it has not changed between two looks, so that one being written is not
sent half. What is deleted stays in S3, as on AWS. Checkpoints and outputs of processing
jobs with S3UploadMode Continuous are kept in S3 like this.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from pathlib import Path

from sagestack.engine.channels import files_of, upload_files
from sagestack.engine.host import AwsSession
from sagestack.engine.workspace import LeadsOut, held, inside

LOG = logging.getLogger(__name__)
INTERVAL = 1.0
"""Seconds between two looks."""

Stamp = tuple[int, int]
"""A file's size in bytes and time of change in nanoseconds."""


class ContinuousUpload:
    """Keeps S3 like the directory until `close`. What lies there at first is there in S3."""

    def __init__(
        self,
        aws: AwsSession,
        directory: Path,
        container_path: str,
        uri: str,
        *,
        kms_key_id: str | None = None,
    ) -> None:
        """`directory` is /opt/ml. Raises LeadsOut."""
        self._aws, self._directory, self._uri = aws, directory, uri
        self._path = inside(directory, container_path).relative_to(directory)
        self._kms_key_id = kms_key_id
        self._sent = self._look()
        self._seen: dict[Path, Stamp] = dict(self._sent)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="continuous", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """The program has ended: send the rest. Raises LeadsOut, and what the sending raises."""
        self._closed.set()
        self._thread.join()
        now = self._look()
        self._send([path for path, stamp in now.items() if self._sent.get(path) != stamp], now)

    def _run(self) -> None:
        while not self._closed.wait(INTERVAL):
            try:
                now = self._look()
                settled = [
                    path
                    for path, stamp in now.items()
                    if self._seen.get(path) == stamp and self._sent.get(path) != stamp
                ]
                self._seen = now
                self._send(settled, now)
            except LeadsOut:
                continue  # the job's end tells
            except Exception:
                LOG.exception("uploads to %s are tried again", self._uri)

    def _send(self, paths: list[Path], stamps: dict[Path, Stamp]) -> None:
        if not paths:
            return
        with contextlib.suppress(FileNotFoundError), held(self._directory, self._path) as here:
            files = [here / path for path in paths]
            upload_files(self._aws, files, here, self._uri, kms_key_id=self._kms_key_id)
            self._sent |= {path: stamps[path] for path in paths}

    def _look(self) -> dict[Path, Stamp]:
        """The files there are, by their paths below the directory."""
        found: dict[Path, Stamp] = {}
        with contextlib.suppress(FileNotFoundError), held(self._directory, self._path) as here:
            for path in files_of(here):
                with contextlib.suppress(FileNotFoundError):
                    status = path.stat()
                    found[path.relative_to(here)] = (status.st_size, status.st_mtime_ns)
        return found
