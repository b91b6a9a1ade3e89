"""The FUSE protocol, as far as a read-only tree of files needs it.

The kernel asks over a descriptor of /dev/fuse; `serve` answers from a `Tree`. Layouts are
those of linux/fuse.h, protocol 7.31. No library: libfuse is not on every machine, and a
sandbox mounts for itself.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

LOG = logging.getLogger(__name__)

LOOKUP, FORGET, GETATTR, OPEN, READ, STATFS, RELEASE = 1, 2, 3, 14, 15, 17, 18
INIT, OPENDIR, READDIR, RELEASEDIR, BATCH_FORGET, INTERRUPT, DESTROY = 26, 27, 28, 29, 42, 36, 38
FLUSH = 25
HEADER = struct.Struct("<IIQQIIII")
OUT_HEADER = struct.Struct("<IiQ")
ATTRIBUTES = struct.Struct("<QQQQQQIIIIIIIIII")
LONGEST_READ = 1024**2
BUFFER = LONGEST_READ + 65536
FOREVER = 3600
"""Seconds the kernel may keep what it learned: the tree does not change."""
KEEP_CACHE = 2
WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_TRUNC | os.O_CREAT


@dataclass
class Node:
    """A file or a directory. Node 1 is the root."""

    number: int
    name: str
    size: int = 0
    """Bytes; of a directory, 0."""
    children: dict[str, Node] | None = None
    """None for a file."""
    modified: float = 0.0
    content: object = field(default=None)
    """What the reader needs to find the bytes."""


class Tree(Protocol):
    """The files to show."""

    nodes: dict[int, Node]

    def read(self, node: Node, offset: int, size: int) -> bytes:
        """Up to `size` bytes. Raises OSError."""


def serve(descriptor: int, tree: Tree, threads: int = 4) -> None:
    """Answer until the file system is unmounted, from threads that end with it. The last one
    closes the descriptor: an answer must not go to a file that has its number by then."""
    working = threading.Semaphore(threads - 1)

    def work() -> None:
        try:
            _answer_all(descriptor, tree)
        finally:
            if not working.acquire(blocking=False):
                os.close(descriptor)

    for number in range(threads):
        threading.Thread(target=work, name=f"fuse-{number}", daemon=True).start()


def _answer_all(descriptor: int, tree: Tree) -> None:
    while True:
        try:
            request = os.read(descriptor, BUFFER)
        except OSError as error:
            if error.errno in (errno.EINTR, errno.EAGAIN, errno.ENOENT):
                continue
            return  # ENODEV: unmounted
        if not request:
            return
        _answer(descriptor, tree, request)


def _answer(descriptor: int, tree: Tree, request: bytes) -> None:
    _, operation, unique, number, *_ = HEADER.unpack_from(request)
    body = request[HEADER.size :]
    if operation in (FORGET, BATCH_FORGET, INTERRUPT):
        return
    handler = HANDLERS.get(operation)
    try:
        if handler is None:
            raise OSError(errno.ENOSYS, "")
        node = tree.nodes.get(number)
        if node is None and operation not in (INIT, DESTROY):
            raise OSError(errno.ENOENT, "")
        answer, code = handler(tree, node, body), 0
    except OSError as error:
        answer, code = b"", -(error.errno or errno.EIO)
    except Exception:
        LOG.exception("FUSE operation %s", operation)
        answer, code = b"", -errno.EIO
    try:
        os.write(descriptor, OUT_HEADER.pack(OUT_HEADER.size + len(answer), code, unique) + answer)
    except OSError:
        LOG.debug("the asker of FUSE operation %s is gone", operation)


def _init(_tree: Tree, _node: Node | None, body: bytes) -> bytes:
    _, minor, read_ahead, _ = struct.unpack_from("<IIII", body)
    # major, minor, read-ahead, flags, background, congestion, write size, time granularity,
    # pages, alignment, more flags, unused
    return struct.pack(
        "<IIIIHHIIHHI28x", 7, min(minor, 31), max(read_ahead, LONGEST_READ), 0, 16, 12, 4096,
        1, 256, 0, 0,
    )  # fmt: skip


def _lookup(_tree: Tree, node: Node | None, body: bytes) -> bytes:
    child = (_directory(node)).get(os.fsdecode(body.rstrip(b"\0")))
    if child is None:
        raise OSError(errno.ENOENT, "")
    return struct.pack("<QQQQII", child.number, 0, FOREVER, FOREVER, 0, 0) + _attributes(child)


def _getattr(_tree: Tree, node: Node | None, _body: bytes) -> bytes:
    assert node is not None
    return struct.pack("<QII", FOREVER, 0, 0) + _attributes(node)


def _open(_tree: Tree, _node: Node | None, body: bytes) -> bytes:
    (flags,) = struct.unpack_from("<I", body)
    if flags & WRITE_FLAGS:
        raise OSError(errno.EROFS, "")
    return struct.pack("<QII", 0, KEEP_CACHE, 0)


def _read(tree: Tree, node: Node | None, body: bytes) -> bytes:
    assert node is not None
    _, offset, size = struct.unpack_from("<QQI", body)
    return tree.read(node, offset, size)


def _read_directory(_tree: Tree, node: Node | None, body: bytes) -> bytes:
    _, offset, size = struct.unpack_from("<QQI", body)
    entries = list(_directory(node).values())
    answer = b""
    for index in range(offset, len(entries)):
        child = entries[index]
        name = os.fsencode(child.name)
        kind = (stat.S_IFDIR if child.children is not None else stat.S_IFREG) >> 12
        entry = struct.pack("<QQII", child.number, index + 1, len(name), kind) + name
        entry += bytes(-len(entry) % 8)
        if len(answer) + len(entry) > size:
            break
        answer += entry
    return answer


def _stat_file_system(_tree: Tree, _node: Node | None, _body: bytes) -> bytes:
    return struct.pack("<QQQQQIIII24x", 0, 0, 0, 0, 0, 4096, 255, 4096, 0)


def _nothing(_tree: Tree, _node: Node | None, _body: bytes) -> bytes:
    return b""


def _attributes(node: Node) -> bytes:
    is_directory = node.children is not None
    mode = (stat.S_IFDIR | 0o555) if is_directory else (stat.S_IFREG | 0o444)
    seconds = int(node.modified)
    # number, size, blocks, three times, their nanoseconds, mode, links, owner, group, device,
    # block size, flags
    return ATTRIBUTES.pack(
        node.number, node.size, (node.size + 511) // 512, seconds, seconds, seconds, 0, 0, 0,
        mode, 2 if is_directory else 1, 0, 0, 0, 4096, 0,
    )  # fmt: skip


def _directory(node: Node | None) -> dict[str, Node]:
    if node is None or node.children is None:
        raise OSError(errno.ENOTDIR, "")
    return node.children


HANDLERS: dict[int, Callable[[Tree, Node | None, bytes], bytes]] = {
    INIT: _init,
    LOOKUP: _lookup,
    GETATTR: _getattr,
    OPEN: _open,
    READ: _read,
    FLUSH: _nothing,
    RELEASE: _nothing,
    OPENDIR: _open,
    READDIR: _read_directory,
    RELEASEDIR: _nothing,
    STATFS: _stat_file_system,
    DESTROY: _nothing,
}
