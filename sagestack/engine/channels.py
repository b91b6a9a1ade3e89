"""S3 to directory and back: which objects a channel names, and how they get there.

A key becomes a path below the channel's directory and can't leave it. Objects move in
parallel. Source for what a prefix means: what the SDKs send, with and without a trailing
slash, and the name of a single object.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sagestack.engine.host import AwsSession, NoSuchBucket, NoSuchKey, S3Object
from sagestack.engine.s3_uri import parse_s3_uri
from sagestack.engine.workspace import LeadsOut, held

THREADS = 8
LONGEST_NAME = 255
"""Bytes of one part of a path, on every file system of Linux."""


class InputMissing(Exception):
    """A channel has nothing to give, or what it names is not there. The text is the one AWS
    puts behind `ClientError: `."""


@dataclass(frozen=True)
class Item:
    """An object of a channel, and where it lies below the channel's directory."""

    bucket: str
    key: str
    size: int
    """Bytes."""
    path: str

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


def items_of_prefix(aws: AwsSession, uri: str) -> list[Item]:
    """Every object `uri` names, in order of the keys.

    `s3://b/p/` and `s3://b/p` are a folder; `s3://b/p` is also the object of that name.
    Raises InputMissing where there is none.
    """
    bucket, prefix = parse_s3_uri(uri)
    items = [
        Item(bucket, entry.key, entry.size, relative_path(entry.key, prefix))
        for entry in _list(aws, bucket, prefix)
        if not entry.key.endswith("/")
    ]
    if not items:
        raise InputMissing(
            f"Data download failed:No S3 objects found under S3 URL {uri!r}. Please ensure that "
            "the bucket exists, that the objects exist under that S3 prefix and that your role "
            "has permission to access them."
        )
    return items


def items_of_manifest(aws: AwsSession, uri: str) -> list[Item]:
    """The objects a manifest lists: `[{"prefix": "s3://b/p/"}, "one", "two"]`.

    Raises InputMissing for a manifest that is not there or not of that form.
    """
    try:
        first, *names = json.loads(read_object(aws, uri))
        prefix = first["prefix"] if isinstance(first, dict) else ""
        names = names if prefix else [first, *names]
        located = [(*parse_s3_uri(prefix + name), name) for name in names]
    except (ValueError, TypeError, KeyError) as error:
        raise InputMissing(f"Data download failed:invalid manifest {uri}: {error}") from None
    return [Item(bucket, key, 0, name if prefix else key) for bucket, key, name in located]


def read_object(aws: AwsSession, uri: str) -> bytes:
    """A small object that a channel can't do without. Raises InputMissing."""
    bucket, key = parse_s3_uri(uri)
    try:
        return aws.read_object(bucket, key)
    except NoSuchBucket:
        raise _bucket_missing(bucket) from None
    except NoSuchKey:
        raise InputMissing(f"Data download failed:S3 key does not exist: {uri}") from None


def shard(items: Sequence[Item], index: int, count: int) -> list[Item]:
    """The part of ShardedByS3Key that host `index` of `count` gets; the parts share nothing
    and are all of it."""
    return list(items[index::count])


def download(
    aws: AwsSession,
    items: Sequence[Item],
    directory: Path,
    stopped: Callable[[], bool] = lambda: False,
) -> None:
    """Once `stopped` says so, what has not begun is left out. Raises InputMissing."""
    directory.mkdir(parents=True, exist_ok=True)
    for item in items:
        require_below(item.path)
    for parent in {os.path.dirname(item.path) for item in items}:
        _make_directory(directory / parent)

    def get(item: Item) -> None:
        if stopped():
            return
        path = f"{directory}/{item.path}"  # a Path of each costs as much as a small file
        try:
            aws.download(item.bucket, item.key, path)
        except NoSuchBucket:
            raise _bucket_missing(item.bucket) from None
        except NoSuchKey:
            raise InputMissing(f"Data download failed:S3 key does not exist: {item.uri}") from None
        except IsADirectoryError:
            raise _object_and_folder(Path(path)) from None

    in_parallel(get, items)


def download_prefix(aws: AwsSession, uri: str, directory: Path) -> int:
    """Everything `uri` names, into `directory`; how many objects there were.

    Raises InputMissing.
    """
    items = items_of_prefix(aws, uri)
    download(aws, items, directory)
    return len(items)


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
    return upload_files(aws, list(files_of(directory)), directory, uri, kms_key_id=kms_key_id)


def upload_files(
    aws: AwsSession,
    files: Sequence[Path],
    directory: Path,
    uri: str,
    *,
    kms_key_id: str | None = None,
) -> int:
    """These files of a directory, below an S3 prefix. One that is none any more is left out.
    Raises NoSuchBucket, BadKey."""
    bucket, prefix = parse_s3_uri(uri)
    prefix = prefix.rstrip("/")

    def put(path: Path) -> None:
        relative = path.relative_to(directory)
        key = f"{prefix}/{relative.as_posix()}" if prefix else relative.as_posix()
        with contextlib.suppress(FileNotFoundError, LeadsOut), held(directory, relative) as file:
            if file.is_file():
                aws.upload(file, bucket, key, kms_key_id=kms_key_id)

    in_parallel(put, files)
    return len(files)


def files_of(directory: Path) -> Iterable[Path]:
    """Regular files, links left out."""
    for folder, _, names in os.walk(directory):
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink():
                yield path


def require_below(relative: str) -> None:
    """Raises InputMissing for a path that would leave its directory or can't be there."""
    if relative.startswith("/") or ".." in relative.split("/") or "\0" in relative:
        raise InputMissing(
            f"Data download failed:S3 key is not a path below its channel: {relative!r}"
        )
    if any(len(os.fsencode(part)) > LONGEST_NAME for part in relative.split("/")):
        raise InputMissing(f"Data download failed:S3 key is too long for a file: {relative!r}")


def in_parallel[T](work: Callable[[T], None], items: Sequence[T]) -> None:
    """Raises what the work raises; what has not begun is left out then. A few workers take
    the items by turns: to submit each of them would cost more than a small file does."""
    left = deque(items)

    def take() -> None:
        while True:
            try:
                item = left.popleft()
            except IndexError:
                return
            try:
                work(item)
            except BaseException:
                left.clear()
                raise

    with ThreadPoolExecutor(THREADS, thread_name_prefix="s3") as pool:
        for worker in [pool.submit(take) for _ in range(min(THREADS, len(items)))]:
            worker.result()


def _list(aws: AwsSession, bucket: str, prefix: str) -> list[S3Object]:
    try:
        return list(aws.list_objects(bucket, prefix))
    except NoSuchBucket:
        raise _bucket_missing(bucket) from None


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise _object_and_folder(path) from None


def _bucket_missing(bucket: str) -> InputMissing:
    return InputMissing(f"Data download failed:S3 bucket does not exist: {bucket}")


def _object_and_folder(path: Path) -> InputMissing:
    return InputMissing(
        f"Data download failed:an S3 key is both an object and a folder: {path.name!r}"
    )
