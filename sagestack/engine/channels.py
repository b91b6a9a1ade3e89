"""S3 to directory and back: a job's input channels and its outputs.

A key becomes a path below the channel's directory and can't leave it. Objects move in
parallel. Source for what a prefix means: what the SDKs send, with and without a trailing
slash, and the name of a single object.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sagestack.engine.host import AwsSession, NoSuchBucket, NoSuchKey
from sagestack.engine.s3_uri import parse_s3_uri

THREADS = 8


class InputMissing(Exception):
    """A channel has nothing to give, or what it names is not there. The text is the one AWS
    puts behind `ClientError: `."""


@dataclass(frozen=True)
class _Transfer:
    key: str
    path: Path


def download_prefix(aws: AwsSession, uri: str, directory: Path) -> int:
    """Everything `uri` names, into `directory`; how many objects there were.

    `s3://b/p/` and `s3://b/p` are a folder; `s3://b/p` is also the object of that name,
    which lands as `<directory>/p`. Raises InputMissing.
    """
    bucket, prefix = parse_s3_uri(uri)
    directory.mkdir(parents=True, exist_ok=True)
    try:
        keys = [o.key for o in aws.list_objects(bucket, prefix) if not o.key.endswith("/")]
    except NoSuchBucket:
        raise InputMissing(f"Data download failed:S3 bucket does not exist: {bucket}") from None
    transfers = [_Transfer(key, _below(directory, relative_path(key, prefix))) for key in keys]
    if not transfers:
        raise InputMissing(
            f"Data download failed:No S3 objects found under S3 URL {uri!r}. Please ensure that "
            "the bucket exists, that the objects exist under that S3 prefix and that your role "
            "has permission to access them."
        )
    for parent in {transfer.path.parent for transfer in transfers}:
        _make_directory(parent)

    def get(transfer: _Transfer) -> None:
        aws.download(bucket, transfer.key, transfer.path)

    try:
        _in_parallel(get, transfers)
    except NoSuchKey as error:
        raise InputMissing(f"Data download failed:S3 key does not exist: {error}") from None
    return len(transfers)


def relative_path(key: str, prefix: str) -> str:
    """Where a key lies below its channel: the key without the prefix's folder.

    For a prefix that names a folder, with or without its slash, that folder; for a prefix
    that names an object or the first letters of some, the folder those lie in.
    """
    if key.startswith(prefix.rstrip("/") + "/") or not prefix:
        return key[len(prefix.rstrip("/")) :].lstrip("/")
    return key[prefix.rfind("/") + 1 :]


def upload_directory(
    aws: AwsSession, directory: Path, uri: str, *, kms_key_id: str | None = None
) -> int:
    """Every file of a directory, links left out, below an S3 prefix; how many there were.

    Raises NoSuchBucket.
    """
    bucket, prefix = parse_s3_uri(uri)
    prefix = prefix.rstrip("/")
    files = list(_files(directory))

    def put(path: Path) -> None:
        relative = path.relative_to(directory).as_posix()
        key = f"{prefix}/{relative}" if prefix else relative
        aws.upload(path, bucket, key, kms_key_id=kms_key_id)

    _in_parallel(put, files)
    return len(files)


def _files(directory: Path) -> Iterable[Path]:
    for folder, _, names in os.walk(directory):
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink():
                yield path


def _below(directory: Path, relative: str) -> Path:
    if relative.startswith("/") or ".." in relative.split("/") or "\0" in relative:
        raise InputMissing(
            f"Data download failed:S3 key is not a path below its channel: {relative!r}"
        )
    return directory / relative


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise InputMissing(
            f"Data download failed:an S3 key is both an object and a folder: {path.name!r}"
        ) from None


def _in_parallel[T](work: Callable[[T], None], items: list[T]) -> None:
    with ThreadPoolExecutor(THREADS, thread_name_prefix="s3") as pool:
        for _ in pool.map(work, items):
            pass
