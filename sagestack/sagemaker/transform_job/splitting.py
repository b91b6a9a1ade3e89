"""Splitting: an object into records, records into the requests of a transform job.

A request of MULTI_RECORD holds as many whole records as fit, as they stand in the object;
one of SINGLE_RECORD holds one, without its newline, its RecordIO header or its TFRecord
checksums. Blank lines are no records. Source: CreateTransformJob, TransformInput.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

MEBIBYTE = 1024**2
RECORD_IO_MAGIC = 0xCED7230A
WHOLE, LAST = 0, 3
"""Which part of a record a RecordIO frame holds, as dmlc-core defines it; others lie between."""


class TooLarge(Exception):
    """A record, or an object that is not split, exceeds MaxPayloadInMB."""


class BadRecord(Exception):
    """An object is not of its SplitType."""


@dataclass(frozen=True)
class Batching:
    """How the requests are made, when all who have a say are heard."""

    most_concurrent: int = 1
    payload_mb: int = 6
    """0 is no limit; requests are sent in HTTP's chunked encoding then."""
    strategy: str = "MULTI_RECORD"

    @property
    def most_bytes(self) -> int:
        return self.payload_mb * MEBIBYTE or sys.maxsize

    @property
    def chunked(self) -> bool:
        return self.payload_mb == 0

    @property
    def single(self) -> bool:
        return self.strategy == "SINGLE_RECORD"

    def __str__(self) -> str:
        return (
            f"MaxConcurrentTransforms={self.most_concurrent}, MaxPayloadInMB={self.payload_mb}, "
            f"BatchStrategy={self.strategy}"
        )


def requests_of(file: IO[bytes], split_type: str, batching: Batching) -> Iterator[list[bytes]]:
    """The records of each request. Raises TooLarge, BadRecord."""
    limit = batching.most_bytes
    if split_type == "None":
        content = file.read(min(limit + 1, sys.maxsize))
        if len(content) > limit:
            raise TooLarge
        if content:
            yield [content]
    elif batching.single:
        for record in _records(file, split_type, limit, raw=False):
            yield [record]
    else:
        yield from _filled(_records(file, split_type, limit, raw=True), limit)


def _filled(records: Iterator[bytes], limit: int) -> Iterator[list[bytes]]:
    """As many records together as fit into the limit."""
    batch: list[bytes] = []
    size = 0
    for record in records:
        if batch and size + len(record) > limit:
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += len(record)
    if batch:
        yield batch


def _records(file: IO[bytes], split_type: str, limit: int, *, raw: bool) -> Iterator[bytes]:
    match split_type:
        case "Line":
            return _lines(file, limit, raw=raw)
        case "RecordIO":
            return _record_io(file, limit, raw=raw)
        case _:
            return _tf_records(file, limit, raw=raw)


def _lines(file: IO[bytes], limit: int, *, raw: bool) -> Iterator[bytes]:
    """The newline counts towards the limit only where it is sent."""
    while line := file.readline(min(limit + 2, sys.maxsize)):
        content = line if raw else line.rstrip(b"\r\n")
        if len(content) > limit:
            raise TooLarge
        if line.strip():
            yield content


def _record_io(file: IO[bytes], limit: int, *, raw: bool) -> Iterator[bytes]:
    """A record that has the magic number in it is stored in parts, cut where it stood."""
    parts: list[bytes] = []
    size = 0
    while header := file.read(8):
        magic, flag, length = _record_io_header(header)
        padded_length = length + -length % 4
        size += 8 + padded_length if raw else length + (len(magic) if parts else 0)
        if size > limit:
            raise TooLarge
        padded = _exactly(file, padded_length)
        parts.append(header + padded if raw else padded[:length])
        if flag in (WHOLE, LAST):
            yield (b"" if raw else magic).join(parts)
            parts, size = [], 0
    if parts:
        raise BadRecord("the object ends within a record")


def _record_io_header(header: bytes) -> tuple[bytes, int, int]:
    if len(header) < 8:
        raise BadRecord("the object ends within a record")
    magic, flag_and_length = struct.unpack("<II", header)
    if magic != RECORD_IO_MAGIC:
        raise BadRecord("a RecordIO record does not begin with its magic number")
    return header[:4], flag_and_length >> 29, flag_and_length & (2**29 - 1)


def _tf_records(file: IO[bytes], limit: int, *, raw: bool) -> Iterator[bytes]:
    """Length (8 bytes), its checksum (4), content, its checksum (4)."""
    while header := file.read(12):
        if len(header) < 12:
            raise BadRecord("the object ends within a record")
        (length,) = struct.unpack_from("<Q", header)
        if (length + 16 if raw else length) > limit:
            raise TooLarge
        content = _exactly(file, length + 4)
        yield header + content if raw else content[:length]


def _exactly(file: IO[bytes], size: int) -> bytes:
    content = file.read(size)
    if len(content) < size:
        raise BadRecord("the object ends within a record")
    return content
