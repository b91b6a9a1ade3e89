"""Data capture: a sample of the calls and their answers, as JSON lines in S3.

An object for each variant and hour, every few seconds. Source of keys and lines: contract,
section 3.7. AWS does not say how the objects are named; these are `MM-SS-mmm-<uuid>.jsonl`.
"""

from __future__ import annotations

import base64
import json
import logging
import random
import tempfile
import uuid
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sagestack.engine.host import AwsSession, NoSuchBucket
from sagestack.engine.s3_uri import parse_s3_uri
from sagestack.serving.batch import Batch

LOG = logging.getLogger(__name__)
SECONDS = 3.0
"""Between two objects of one endpoint."""
MOST_CALLS = 500
MOST_BYTES = 8 * 1024**2


@dataclass(frozen=True, slots=True)
class Captured:
    """One call that was answered."""

    variant: str
    request: bytes
    request_type: str
    response: bytes
    response_type: str
    inference_id: str | None
    custom_attributes: str | None
    time: datetime = field(default_factory=lambda: datetime.now(UTC))


class Capture:
    """`config` is an endpoint configuration's DataCaptureConfig."""

    def __init__(self, aws: AwsSession, endpoint: str, config: Mapping[str, Any]) -> None:
        self._aws, self._endpoint = aws, endpoint
        self._share = float(config["InitialSamplingPercentage"]) / 100
        self._bucket, prefix = parse_s3_uri(config["DestinationS3Uri"])
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._kms_key_id = config.get("KmsKeyId")
        modes = {option["CaptureMode"] for option in config["CaptureOptions"]}
        self._input = bool(modes & {"Input", "InputAndOutput"})
        self._output = bool(modes & {"Output", "InputAndOutput"})
        header = config.get("CaptureContentTypeHeader", {})
        self._encodings = {
            **{_essence(t): "CSV" for t in header.get("CsvContentTypes", ())},
            **{_essence(t): "JSON" for t in header.get("JsonContentTypes", ())},
        }
        self._batch = Batch[Captured](
            self._send,
            name=f"capture-{endpoint}",
            seconds=SECONDS,
            most=MOST_CALLS,
            most_bytes=MOST_BYTES,
        )

    def wants(self) -> bool:
        """Whether the next call is in the sample."""
        return random.random() < self._share

    def add(self, captured: Captured) -> None:
        self._batch.add(captured, len(captured.request) + len(captured.response))

    def flush(self) -> None:
        self._batch.flush()

    def close(self) -> None:
        self._batch.close()

    def _send(self, calls: list[Captured]) -> None:
        groups: dict[str, list[str]] = defaultdict(list)
        for call in calls:
            hour = call.time.strftime("%Y/%m/%d/%H")
            groups[f"{call.variant}/{hour}"].append(json.dumps(self._line(call)) + "\n")
        now = datetime.now(UTC)
        stamp = f"{now:%M-%S}-{now.microsecond // 1000:03d}"
        for folder, lines in groups.items():
            key = f"{self._prefix}{self._endpoint}/{folder}/{stamp}-{uuid.uuid4()}.jsonl"
            try:
                self._put(key, "".join(lines).encode())
            except NoSuchBucket:
                LOG.warning(
                    "%s: %s captured calls are lost, there is no bucket %s",
                    self._endpoint,
                    len(lines),
                    self._bucket,
                )

    def _put(self, key: str, body: bytes) -> None:
        if not self._kms_key_id:
            self._aws.put_object(self._bucket, key, body)
            return
        with tempfile.NamedTemporaryFile() as file:
            file.write(body)
            file.flush()
            self._aws.upload(Path(file.name), self._bucket, key, kms_key_id=self._kms_key_id)

    def _line(self, call: Captured) -> dict[str, Any]:
        data: dict[str, Any] = {}
        if self._input:
            data["endpointInput"] = self._part(call.request, call.request_type, "INPUT")
        if self._output:
            data["endpointOutput"] = self._part(call.response, call.response_type, "OUTPUT")
        metadata: dict[str, Any] = {"eventId": str(uuid.uuid4())}
        if call.inference_id:
            metadata["inferenceId"] = call.inference_id
        if call.custom_attributes:
            metadata["customAttributes"] = [call.custom_attributes]
        metadata["inferenceTime"] = f"{call.time:%Y-%m-%dT%H:%M:%SZ}"
        return {"captureData": data, "eventMetadata": metadata, "eventVersion": "0"}

    def _part(self, body: bytes, content_type: str, mode: str) -> dict[str, str]:
        """A body that is not UTF-8 is in base64 whatever its type says."""
        encoding = self._encodings.get(_essence(content_type), "BASE64")
        try:
            data = base64.b64encode(body).decode() if encoding == "BASE64" else body.decode()
        except UnicodeDecodeError:
            encoding, data = "BASE64", base64.b64encode(body).decode()
        return {
            "observedContentType": content_type,
            "mode": mode,
            "data": data,
            "encoding": encoding,
        }


def _essence(content_type: str) -> str:
    """`Text/CSV; charset=utf-8` -> `text/csv`."""
    return content_type.split(";", 1)[0].strip().lower()
