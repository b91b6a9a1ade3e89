"""The fixture `mock_sagemaker`, in every environment that has sagestack and pytest.

pytest imports this at each of its starts, so what is heavy is imported by those who ask.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sagestack.testing import MockSageMaker


@pytest.fixture
def sagestack_images() -> Mapping[str, str | Path]:
    """What `mock_sagemaker` runs images in. Define your own to change it."""
    return {}


@pytest.fixture
def mock_sagemaker(sagestack_images: Mapping[str, str | Path]) -> Iterator[MockSageMaker]:
    """SageMaker and Glue in this process, on moto, for one test."""
    from sagestack.testing import mock_sagemaker as mock

    with mock(images=sagestack_images) as opened:
        yield opened
