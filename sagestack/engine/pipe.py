"""Pipe mode: a channel as a row of FIFOs, one per epoch, fed while the program reads.

`<channel>_0` is there when the program starts; `<channel>_1` appears when the program has
closed the first, and so on. Source: contract, sections 1.2 and 1.3.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import io
import json
import os
import stat
import struct
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sagestack.engine.channels import InputMissing, Item, read_object
from sagestack.engine.host import AwsSession
from sagestack.engine.s3_uri import parse_s3_uri

BLOCK = 8 * 1024**2
"""Bytes fetched at a time from an object."""
RECORD_MAGIC = 0xCED7230A
"""Begins a RecordIO record, as MXNet defines it."""
READER_SECONDS = 0.005
"""Between two looks for a reader."""


@dataclass(frozen=True)
class PipeSource:
    """What a channel streams: objects one after another, or the records of an augmented
    manifest."""

    items: Sequence[Item]
    gunzip: bool = False
    record_io: bool = False
    attributes: tuple[str, ...] = ()
    """Of an augmented manifest: what each of its lines contributes, in this order."""


class PipeFeeder:
    """Feeds one channel from a thread of its own until `close`.

    The program may do as it likes with the directory meanwhile: it is held by a descriptor,
    and nothing is written to but a FIFO.
    """

    def __init__(self, aws: AwsSession, directory: Path, channel: str, source: PipeSource) -> None:
        self._aws, self._source = aws, source
        self._channel = channel
        self._closed = threading.Event()
        self.error: Exception | None = None
        """What ended the feeding before the program did."""
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        os.mkfifo(f"{channel}_0", dir_fd=self._directory)
        self._thread = threading.Thread(target=self._run, name=f"pipe-{channel}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """The program has ended: feed no more."""
        self._closed.set()
        self._thread.join()
        os.close(self._directory)

    def _run(self) -> None:
        try:
            epoch = 0
            while (fifo := self._opened(f"{self._channel}_{epoch}")) is not None:
                # A reader may close before the end; the next epoch is its again.
                with fifo, contextlib.suppress(BrokenPipeError):
                    for chunk in chunks(self._aws, self._source):
                        _write_all(fifo, chunk)
                epoch += 1
                with contextlib.suppress(OSError):  # the program has its own there
                    os.mkfifo(f"{self._channel}_{epoch}", dir_fd=self._directory)
        except Exception as error:
            self.error = error

    def _opened(self, name: str) -> io.FileIO | None:
        """The FIFO, once it has a reader; None where the program ends before, or has taken
        it away."""
        while not self._closed.wait(READER_SECONDS):
            try:
                flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW
                descriptor = os.open(name, flags, dir_fd=self._directory)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    continue
                return None
            if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
                os.close(descriptor)
                return None
            os.set_blocking(descriptor, True)
            return io.FileIO(descriptor, "wb")
        return None


def chunks(aws: AwsSession, source: PipeSource) -> Iterator[bytes]:
    """The bytes of one epoch."""
    for record in _records(aws, source):
        if not source.record_io:
            yield from record
            continue
        content = b"".join(record)
        yield record_io(content)


def record_io(content: bytes) -> bytes:
    """One RecordIO record: magic, length, content, padding to four bytes."""
    padding = -len(content) % 4
    return struct.pack("<II", RECORD_MAGIC, len(content)) + content + bytes(padding)


def _records(aws: AwsSession, source: PipeSource) -> Iterator[Iterable[bytes]]:
    if source.attributes:
        for line in augmented_lines(aws, source.items):
            for attribute in source.attributes:
                yield [attribute_bytes(aws, line, attribute)]
        return
    for item in source.items:
        stream = object_chunks(aws, item)
        yield _gunzip(stream) if source.gunzip else stream


def augmented_lines(aws: AwsSession, items: Sequence[Item]) -> Iterator[dict[str, Any]]:
    """The JSON objects of an augmented manifest. Raises InputMissing for a line that is none."""
    for item in items:
        for number, line in enumerate(read_object(aws, item.uri).splitlines(), 1):
            if line.strip():
                try:
                    content = json.loads(line)
                except ValueError as error:
                    raise InputMissing(
                        f"Data download failed:line {number} of {item.uri}: {error}"
                    ) from None
                yield content


def attribute_bytes(aws: AwsSession, line: dict[str, Any], attribute: str) -> bytes:
    """`x-ref` is the object its value names; anything else is the value itself."""
    if attribute not in line:
        raise InputMissing(f"Data download failed:the manifest has no attribute {attribute!r}")
    value = line[attribute]
    if attribute.endswith("-ref"):
        return read_object(aws, value)
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()


def object_chunks(aws: AwsSession, item: Item) -> Iterator[bytes]:
    start = 0
    while chunk := aws.read_range(item.bucket, item.key, start, BLOCK):
        yield chunk
        start += len(chunk)
        if len(chunk) < BLOCK:
            return


def _gunzip(stream: Iterable[bytes]) -> Iterator[bytes]:
    with gzip.GzipFile(fileobj=_Readable(stream)) as file:
        while chunk := file.read(BLOCK):
            yield chunk


class _Readable(io.RawIOBase):
    """Chunks as a file."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            self._rest = chunk
        size = len(self._rest) if size < 0 else size
        content, self._rest = self._rest[:size], self._rest[size:]
        return content


def _write_all(file: io.RawIOBase, content: bytes) -> None:
    view = memoryview(content)
    while view:
        written = file.write(view)
        view = view[written or 0 :]


def manifest_item(uri: str) -> Item:
    """An augmented manifest itself, as the one object to read."""
    bucket, key = parse_s3_uri(uri)
    return Item(bucket, key, 0, key.rsplit("/", 1)[-1])
