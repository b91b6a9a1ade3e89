"""The two hosts, as a client sees them: boto3, and nothing of ours."""

from __future__ import annotations

from typing import Any, Protocol

import boto3
from botocore import xform_name

from sagestack.aws.caller import Caller
from tests.emulator.jobs import ACCOUNT, REGION


class ClientContext(Protocol):
    """What the helpers of tests/emulator ask of a context."""

    caller: Caller

    def client(self, service: str) -> Any: ...

    def call(self, service: str, operation: str, request: dict[str, Any]) -> dict[str, Any]: ...


class MockContext:
    """Clients of the process's own, under `mock_sagemaker`."""

    def __init__(self) -> None:
        self.caller = Caller(ACCOUNT, REGION)

    @property
    def aws(self) -> MockContext:
        return self

    def client(self, service: str) -> Any:
        return boto3.client(service, region_name=REGION)

    def call(self, service: str, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = getattr(self.client(service), xform_name(operation))(**request)
        answer.pop("ResponseMetadata")
        return answer
