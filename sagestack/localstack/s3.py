"""S3 as it lies in this process: objects read from LocalStack's storage, past the gateway.

A call through the gateway takes milliseconds, which a channel of a thousand small files pays
a thousand times. The storage is LocalStack's private API, so whatever is not as it is known
here (another provider, an object with a key of its own, one that is not there) is asked of
the API, which answers as S3 does. Writing goes there always: it has notifications, versions
and checksums to think of.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from localstack.services.plugins import SERVICE_PLUGINS
from localstack.services.s3.models import S3Object as Stored
from localstack.services.s3.models import s3_stores

from sagestack.boto_host import BotoSession
from sagestack.engine.host import S3Object

LOG = logging.getLogger(__name__)
READABLE = ("STANDARD", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "REDUCED_REDUNDANCY")
"""Storage classes that need no restore."""


class StorageSession(BotoSession):
    def bucket_exists(self, bucket: str) -> bool:
        return self._bucket(bucket) is not None or super().bucket_exists(bucket)

    def list_objects(self, bucket: str, prefix: str) -> Iterator[S3Object]:
        found = self._bucket(bucket)
        if found is None:
            yield from super().list_objects(bucket, prefix)
            return
        objects = (o for o in found.objects.values() if isinstance(o, Stored))
        for entry in sorted((o for o in objects if o.key.startswith(prefix)), key=_key):
            yield S3Object(entry.key, entry.size, entry.last_modified)

    def read_object(self, bucket: str, key: str) -> bytes:
        with self._open(bucket, key) as stored:
            if stored is None:
                return super().read_object(bucket, key)
            body: bytes = stored.read()
            return body

    def read_range(self, bucket: str, key: str, start: int, size: int) -> bytes:
        with self._open(bucket, key) as stored:
            if stored is None:
                return super().read_range(bucket, key, start, size)
            stored.seek(start)
            body: bytes = stored.read(size)
            return body

    def download(self, bucket: str, key: str, path: str | Path) -> None:
        with self._open(bucket, key) as stored:
            if stored is None:
                super().download(bucket, key, path)
                return
            target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
            try:
                _copy(stored, target)
            finally:
                os.close(target)

    @contextmanager
    def _open(self, bucket: str, key: str) -> Iterator[Any]:
        """The stored object, locked against writers, or None."""
        stored = None
        try:
            entry = self._entry(bucket, key)
            if entry is not None:
                stored = _provider()._storage_backend.open(bucket, entry, mode="r")
        except Exception:
            LOG.debug("LocalStack's storage is not as it is known", exc_info=True)
        try:
            yield stored
        finally:
            if stored is not None:
                stored.close()

    def _entry(self, bucket: str, key: str) -> Any:
        found = self._bucket(bucket)
        entry = found.objects.get(key) if found is not None else None
        if not isinstance(entry, Stored) or entry.sse_key_hash or entry.kms_key_id:
            return None
        return entry if entry.storage_class in READABLE else None

    def _bucket(self, name: str) -> Any:
        """LocalStack's record of a bucket of any account, or None."""
        try:
            if _provider() is None:
                return None
            store = s3_stores[self.account][self.region]
            owner = store.global_bucket_map.get(name, self.account)
            if owner != self.account:
                store = s3_stores[owner][self.region]
            return store.buckets.get(name)
        except Exception:
            LOG.debug("LocalStack's storage is not as it is known", exc_info=True)
            return None


def _provider() -> Any:
    """LocalStack's own S3 provider, or None where another answers or none has been asked."""
    if not SERVICE_PLUGINS.is_running("s3"):
        return None
    provider = SERVICE_PLUGINS.get_service("s3")._provider
    return provider if hasattr(provider, "_storage_backend") else None


def _copy(stored: Any, target: int) -> None:
    """A large object lies in a file, which the kernel copies; a small one in memory."""
    file = stored.file
    with file.position_lock:
        if not file._rolled:
            file.seek(0)
            rest = memoryview(file.read())
            while rest:
                rest = rest[os.write(target, rest) :]
            return
        file.flush()
        source = file.fileno()
    offset, size = 0, os.fstat(source).st_size
    while offset < size and (sent := os.sendfile(target, source, offset, size - offset)):
        offset += sent


def _key(entry: Any) -> str:
    key: str = entry.key
    return key
