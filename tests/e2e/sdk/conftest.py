"""One run per SDK; both begin at once where both are tested, since most of it is waiting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.e2e.live import Live
from tests.e2e.sdk.run import SdkRun

VERSIONS = ("v2", "v3")


@pytest.fixture(scope="session")
def runs(
    request: pytest.FixtureRequest, live: Live, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, SdkRun]]:
    names = {Path(item.path).stem for item in request.session.items}
    wanted = [version for version in VERSIONS if f"test_sdk_{version}" in names]
    with ExitStack() as stack:
        runs = {v: SdkRun(v, live, tmp_path_factory.mktemp(v)) for v in wanted}
        for run in runs.values():
            stack.enter_context(closing(run))
        yield runs


@pytest.fixture(scope="session")
def v2(runs: dict[str, SdkRun]) -> SdkRun:
    return runs["v2"]


@pytest.fixture(scope="session")
def v3(runs: dict[str, SdkRun]) -> SdkRun:
    return runs["v3"]
