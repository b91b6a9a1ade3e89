"""The channels of InputDataConfig, as the engine brings them."""

from __future__ import annotations

from typing import Any

from sagestack.aws.document import Document
from sagestack.engine.inputs import Channel
from sagestack.sagemaker.training_job.layout import Host, channel_mode, channels_of


def input_channels(document: Document, hosts: list[Host]) -> list[Channel]:
    return [_channel(channel, document, hosts) for channel in document.get("InputDataConfig", ())]


def _channel(channel: dict[str, Any], document: Document, hosts: list[Host]) -> Channel:
    source = channel["DataSource"]["S3DataSource"]
    takers = [host.name for host in hosts if channel in channels_of(document, host)]
    return Channel(
        path=f"/opt/ml/input/data/{channel['ChannelName']}",
        uri=source["S3Uri"],
        data_type=source["S3DataType"],
        mode=channel_mode(channel, document),
        sharded=source.get("S3DataDistributionType") == "ShardedByS3Key",
        hosts=tuple(takers),
        gunzip=channel.get("CompressionType") == "Gzip",
        record_io=channel.get("RecordWrapperType") == "RecordIO",
        attributes=tuple(source.get("AttributeNames", ())),
    )
