"""Shared by the tests of stacks: an account of their own, and a stack that leaves nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.live import Live
from tests.e2e.stacks.stack import BUCKET, Cloud, Stack


@pytest.fixture(scope="session")
def cloud(live: Live) -> Cloud:
    with pytest.MonkeyPatch.context() as environment:
        environment.delenv("AWS_ENDPOINT_URL", raising=False)
        cloud = Cloud(f"127.0.0.1:{live.port}")
    return cloud


@pytest.fixture
def stack(cloud: Cloud) -> Iterator[Stack]:
    """Deleted at the end, with all that it made."""
    stack = Stack(cloud)
    yield stack
    if stack.id:
        stack.delete()
    assert cloud.buckets() == {BUCKET}
    assert (cloud.models(), cloud.databases()) == (set(), {})
    assert cloud.sagemaker.list_endpoints()["Endpoints"] == []
    assert cloud.sagemaker.list_endpoint_configs()["EndpointConfigs"] == []
