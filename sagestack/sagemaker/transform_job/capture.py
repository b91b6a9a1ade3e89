"""DataCaptureConfig: manifests of what was transformed and of what it became.

`<destination>/{input,output}/yyyy/mm/dd/hh/<name>.jsonl`, by the hour the job started in.
Source: developer guide, model-monitor-data-capture-batch. AWS does not say how the
manifests are named; these are `<job>-<uuid>`.
"""

from __future__ import annotations

import json
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from sagestack.engine.host import AwsSession
from sagestack.engine.s3_uri import join_s3_uri, parse_s3_uri
from sagestack.sagemaker.transform_job.objects import InputObject


def write_manifests(
    aws: AwsSession,
    document: Mapping[str, Any],
    objects: Iterable[InputObject],
    start: datetime,
    scratch: Path,
) -> None:
    """For these objects, in their order. Raises NoSuchBucket."""
    config = document["DataCaptureConfig"]
    bucket, prefix = parse_s3_uri(document["TransformOutput"]["S3OutputPath"])
    output = join_s3_uri(f"s3://{bucket}/{prefix}", "")
    inputs: dict[str, list[str]] = defaultdict(list)
    outputs: dict[str, list[str]] = defaultdict(list)
    for obj in objects:
        inputs[obj.item.uri.removesuffix(obj.item.path)].append(obj.item.path)
        outputs[output].append(obj.out)
    for kind, names_by_prefix in (("input", inputs), ("output", outputs)):
        for base, names in names_by_prefix.items():
            scratch.write_text(json.dumps([{"prefix": base}, *names]) + "\n")
            name = f"{document['TransformJobName']}-{uuid.uuid4()}.jsonl"
            uri = join_s3_uri(config["DestinationS3Uri"], kind, f"{start:%Y/%m/%d/%H}", name)
            aws.upload(scratch, *parse_s3_uri(uri), kms_key_id=config.get("KmsKeyId"))
