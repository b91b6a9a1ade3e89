"""The input channels of a training job, brought to each of its hosts.

A channel's objects are listed once. What a host gets depends on the distribution; how it
gets it, on the input mode: copied before the start, mounted, or piped while it runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sagestack.aws.store import Document
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
from sagestack.sagemaker.training_job.layout import Host, channel_mode, channels_of

DATA = "/opt/ml/input/data"


class Inputs:
    """The channels of one attempt. Raises InputMissing where one has nothing to give."""

    def __init__(self, aws: AwsSession, document: Document, hosts: list[Host]) -> None:
        self._aws, self._document, self._hosts = aws, document, hosts
        self._items = {
            channel["ChannelName"]: _items(aws, channel)
            for channel in document.get("InputDataConfig", ())
        }
        self._feeders: list[PipeFeeder] = []
        self._fast_files: list[FastFileChannel] = []

    def bring(self, host: Host, directory: Path) -> tuple[Mount, ...]:
        """Fill a host's channels; what its sandbox has to mount."""
        mounts = []
        for channel in channels_of(self._document, host):
            name, mode = channel["ChannelName"], channel_mode(channel, self._document)
            items = self._share(channel, host)
            if mode == "File":
                download(self._aws, items, directory / "input/data" / name)
            elif mode == "FastFile":
                fast = FastFileChannel(self._aws, items, f"{DATA}/{name}")
                self._fast_files.append(fast)
                mounts.append(fast.mount)
            else:
                source = _pipe_source(channel, items)
                self._feeders.append(PipeFeeder(self._aws, directory / "input/data", name, source))
        return tuple(mounts)

    def close(self) -> None:
        for feeder in self._feeders:
            feeder.close()
        for fast in self._fast_files:
            fast.close()

    def error(self) -> Exception | None:
        """What kept a pipe from being fed."""
        return next((feeder.error for feeder in self._feeders if feeder.error), None)

    def _share(self, channel: dict[str, Any], host: Host) -> list[Item]:
        source = channel["DataSource"]["S3DataSource"]
        items = self._items[channel["ChannelName"]]
        if source.get("S3DataDistributionType", "FullyReplicated") == "FullyReplicated":
            return items
        sharing = [other for other in self._hosts if channel in channels_of(self._document, other)]
        return shard(items, sharing.index(host), len(sharing))


def _items(aws: AwsSession, channel: dict[str, Any]) -> list[Item]:
    source = channel["DataSource"]["S3DataSource"]
    match source["S3DataType"]:
        case "S3Prefix":
            return items_of_prefix(aws, source["S3Uri"])
        case "ManifestFile":
            return items_of_manifest(aws, source["S3Uri"])
        case _:
            return [manifest_item(source["S3Uri"])]


def _pipe_source(channel: dict[str, Any], items: list[Item]) -> PipeSource:
    source = channel["DataSource"]["S3DataSource"]
    return PipeSource(
        items,
        gunzip=channel.get("CompressionType", "None") == "Gzip",
        record_io=channel.get("RecordWrapperType", "None") == "RecordIO",
        attributes=tuple(source.get("AttributeNames", ())),
    )
