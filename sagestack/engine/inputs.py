"""The input channels of one attempt at a job, brought to each of its hosts.

A channel's objects are listed once. What a host gets depends on the distribution; how it
gets it, on the mode: copied before the start, mounted, or piped while it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sagestack.engine.channels import (
    Item,
    download,
    items_of_manifest,
    items_of_prefix,
    shard,
)
from sagestack.engine.fast_file import FastFileChannel, Mount
from sagestack.engine.host import AwsSession
from sagestack.engine.pipe import PipeFeeder, PipeSource, manifest_item
from sagestack.engine.workspace import inside


@dataclass(frozen=True)
class Channel:
    """One input. The names of types and modes are AWS's."""

    path: str
    """The directory the program sees it in; in Pipe mode, the FIFOs' path less `_<epoch>`."""
    uri: str
    data_type: str = "S3Prefix"
    mode: str = "File"
    sharded: bool = False
    hosts: tuple[str, ...] = ()
    """The hosts that get it; empty is all."""
    gunzip: bool = False
    record_io: bool = False
    attributes: tuple[str, ...] = ()


class Inputs:
    """Raises InputMissing where a channel has nothing to give."""

    def __init__(
        self,
        aws: AwsSession,
        channels: Sequence[Channel],
        host_names: Sequence[str],
        stopped: Callable[[], bool],
    ) -> None:
        """Where `stopped` says that the job is not wanted any more, its inputs are incomplete."""
        self._aws, self._host_names, self._stopped = aws, host_names, stopped
        self._channels = [(channel, _items(aws, channel)) for channel in channels]
        self._feeders: list[PipeFeeder] = []
        self._fast_files: list[FastFileChannel] = []

    def bring(self, host: str, directory: Path) -> tuple[Mount, ...]:
        """Fill a host's channels below its `directory`; what its sandbox has to mount."""
        mounts = []
        for channel, items in self._channels:
            takers = channel.hosts or tuple(self._host_names)
            if host not in takers:
                continue
            if channel.sharded:
                items = shard(items, takers.index(host), len(takers))
            path = inside(directory, channel.path)
            if channel.mode == "File":
                download(self._aws, items, path, self._stopped)
            elif channel.mode == "FastFile":
                path.mkdir(parents=True, exist_ok=True)
                self._fast_files.append(FastFileChannel(self._aws, items, channel.path))
                mounts.append(self._fast_files[-1].mount)
            else:
                source = PipeSource(items, channel.gunzip, channel.record_io, channel.attributes)
                self._feeders.append(PipeFeeder(self._aws, path.parent, path.name, source))
        return tuple(mounts)

    def error(self) -> Exception | None:
        """What kept a pipe from being fed."""
        return next((feeder.error for feeder in self._feeders if feeder.error), None)

    def close(self) -> None:
        for feeder in self._feeders:
            feeder.close()
        for fast in self._fast_files:
            fast.close()


def _items(aws: AwsSession, channel: Channel) -> list[Item]:
    match channel.data_type:
        case "S3Prefix":
            return items_of_prefix(aws, channel.uri)
        case "ManifestFile":
            return items_of_manifest(aws, channel.uri)
        case _:
            return [manifest_item(channel.uri)]
