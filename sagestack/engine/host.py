"""What the engine asks of its host, handed in and never imported.

LocalStack is one host, a test process on moto is another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True)
class S3Object:
    key: str
    size: int
    """Bytes."""
    modified: datetime


@dataclass(frozen=True)
class LogEvent:
    timestamp: int
    """Milliseconds since the epoch."""
    message: str


class NoSuchBucket(Exception):
    """The bucket does not exist."""


class NoSuchKey(Exception):
    """The bucket has no such object."""


class BadKey(Exception):
    """No object can have this key. The text says why."""


class AwsSession(Protocol):
    """AWS as one account and region see it."""

    account: str
    region: str

    def bucket_exists(self, bucket: str) -> bool: ...

    def list_objects(self, bucket: str, prefix: str) -> Iterator[S3Object]:
        """Every object whose key starts with the prefix. Raises NoSuchBucket."""

    def read_object(self, bucket: str, key: str) -> bytes:
        """A small object. Raises NoSuchBucket, NoSuchKey."""

    def read_range(self, bucket: str, key: str, start: int, size: int) -> bytes:
        """Up to `size` bytes of an object from `start` on; empty at its end. Raises
        NoSuchBucket, NoSuchKey."""

    def download(self, bucket: str, key: str, path: str | Path) -> None:
        """An object of any size into a file. Raises NoSuchBucket, NoSuchKey."""

    def upload(self, path: Path, bucket: str, key: str, *, kms_key_id: str | None = None) -> None:
        """A file of any size into an object. Raises NoSuchBucket, BadKey."""

    def put_object(self, bucket: str, key: str, body: bytes) -> None: ...

    def create_log_stream(self, group: str, stream: str) -> None:
        """Make the group and the stream where they are missing."""

    def put_log_events(self, group: str, stream: str, events: Sequence[LogEvent]) -> None: ...

    def put_metric_data(self, namespace: str, data: Sequence[Mapping[str, Any]]) -> None: ...

    def put_event(
        self, source: str, detail_type: str, detail: Mapping[str, Any], resources: Sequence[str]
    ) -> None:
        """Tell EventBridge, on the default bus."""

    def role_environment(self, role_arn: str, session_name: str) -> dict[str, str]:
        """Environment variables that give a process the role's credentials, the region and
        the endpoint, and nothing of the host's own."""


class Host(Protocol):
    def session(self, account: str, region: str) -> AwsSession: ...
