"""FastFile mode: a channel's objects as a read-only file system that fetches what is read.

Mounting costs a listing. Bytes come in blocks when a program reads them, and the last
blocks are kept, so that a program that reads on waits for the first one only.

The sandbox mounts (it has the right to, in its own namespace) and sends the descriptor of
/dev/fuse over a socket; this side answers the kernel's questions from S3.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from sagestack.engine import fuse
from sagestack.engine.channels import Item, require_below
from sagestack.engine.host import AwsSession, NoSuchBucket, NoSuchKey

BLOCK = 8 * 1024**2
"""Bytes fetched at a time."""
KEPT_BLOCKS = 8


DEVICE = "/dev/fuse"


def why_unavailable() -> str | None:
    """What keeps FastFile from working on this machine; None where it works."""
    if not os.path.exists(DEVICE):
        return f"there is no {DEVICE} (load it with: sudo modprobe fuse)"
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        return f"{DEVICE} can't be opened (allow it with: sudo chmod 666 {DEVICE})"
    return None


@dataclass(frozen=True)
class Mount:
    """A file system to be mounted in a sandbox: where, and the socket its descriptor goes to."""

    path: str
    socket: str


class S3Tree:
    """The items of a channel as fuse.Tree."""

    def __init__(self, aws: AwsSession, items: Sequence[Item]) -> None:
        self._aws = aws
        self._blocks: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._fetching: dict[tuple[int, int], threading.Lock] = {}
        self._lock = threading.Lock()
        root = fuse.Node(1, "", children={})
        self.nodes = {1: root}
        for item in items:
            self._add(root, item)

    def read(self, node: fuse.Node, offset: int, size: int) -> bytes:
        end = min(offset + size, node.size)
        parts = []
        while offset < end:
            index, start = divmod(offset, BLOCK)
            part = self._block(node, index)[start : start + end - offset]
            if not part:
                break  # the object became shorter
            parts.append(part)
            offset += len(part)
        return b"".join(parts)

    def _block(self, node: fuse.Node, index: int) -> bytes:
        key = (node.number, index)
        with self._lock:
            if key in self._blocks:
                self._blocks.move_to_end(key)
                return self._blocks[key]
            fetching = self._fetching.setdefault(key, threading.Lock())
        with fetching:  # readers of one block fetch it once
            with self._lock:
                if key in self._blocks:
                    return self._blocks[key]
            block = self._fetch(node, index)
            with self._lock:
                self._blocks[key] = block
                self._fetching.pop(key, None)
                while len(self._blocks) > KEPT_BLOCKS:
                    self._blocks.popitem(last=False)
            return block

    def _fetch(self, node: fuse.Node, index: int) -> bytes:
        item = node.content
        assert isinstance(item, Item)
        try:
            return self._aws.read_range(item.bucket, item.key, index * BLOCK, BLOCK)
        except (NoSuchBucket, NoSuchKey):
            raise OSError(errno.EIO, "the object is gone") from None

    def _add(self, root: fuse.Node, item: Item) -> None:
        require_below(item.path)
        *folders, name = item.path.split("/")
        folder = root
        for part in folders:
            assert folder.children is not None
            child = folder.children.get(part)
            if child is None or child.children is None:
                child = self._new(folder, part)
                child.children = {}
            folder = child
        file = self._new(folder, name)
        file.size, file.content = item.size, item

    def _new(self, folder: fuse.Node, name: str) -> fuse.Node:
        node = fuse.Node(len(self.nodes) + 1, name)
        self.nodes[node.number] = node
        assert folder.children is not None
        folder.children[name] = node
        return node


class FastFileChannel:
    """Waits for the sandbox's descriptor and serves the channel until the sandbox ends."""

    def __init__(self, aws: AwsSession, items: Sequence[Item], path: str) -> None:
        self._tree = S3Tree(aws, items)
        # A socket's path is short by law, and a job's directory may be deep.
        self._directory = tempfile.mkdtemp(prefix="sagestack-")
        name = os.path.join(self._directory, "fuse")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(name)
        self._listener.listen()
        self.mount = Mount(path, name)
        threading.Thread(target=self._accept, name="fast-file", daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        os.unlink(self.mount.socket)
        os.rmdir(self._directory)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self._listener.accept()
            with connection:
                _, descriptors, _, _ = socket.recv_fds(connection, 1, 1)
                fuse.serve(descriptors[0], self._tree)
                connection.sendall(b"r")
