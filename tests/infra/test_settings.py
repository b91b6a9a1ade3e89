"""Settings: ranges, names, and AWS's own table of images."""

from __future__ import annotations

import dataclasses

import pytest
from sagemaker.core import image_uris

from infra.settings import ENVIRONMENTS, SKLEARN_ACCOUNTS, Settings, SettingsError


@pytest.mark.parametrize("region", sorted(SKLEARN_ACCOUNTS))
def test_the_image_is_the_one_the_sagemaker_sdk_would_take(region: str) -> None:
    settings = dataclasses.replace(Settings.of("local"), region=region)
    assert settings.sklearn_image == image_uris.retrieve(
        "sklearn",
        region=region,
        version=settings.sklearn_version,
        py_version="py3",
        instance_type=settings.training_instance,
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"capture_percent": 101}, "capture_percent is 101, must be between 0 and 100"),
        ({"glue_capacity": 2.0}, r"glue_capacity is 2.0, must be 0.0625 or 1.0"),
        ({"raw_retention_days": 0}, "raw_retention_days is 0"),
        ({"region": "mars-1"}, "region is mars-1, must be one of ap-northeast-1"),
    ],
)
def test_a_value_out_of_range_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        dataclasses.replace(Settings.of("local"), **change)


def test_an_unknown_environment_is_refused_with_those_there_are() -> None:
    with pytest.raises(SettingsError, match="unknown environment 'test', must be one of local"):
        Settings.of("test")


def test_the_environment_comes_from_the_context_and_is_local_without() -> None:
    class Node:
        def __init__(self, env: str | None) -> None:
            self._env = env

        def try_get_context(self, key: str) -> str | None:
            return self._env if key == "env" else None

    assert Settings.from_context(Node(None)).stage == "local"
    assert Settings.from_context(Node("prod")).stage == "prod"


def test_settings_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings.of("local").kms = True  # type: ignore[misc]


@pytest.mark.parametrize("stage", sorted(ENVIRONMENTS))
def test_names_fit_what_aws_allows(stage: str) -> None:
    settings = Settings.of(stage)
    assert len(settings.bucket_name("curated", "123456789012")) <= 63
    assert len(settings.endpoint) <= 63
    assert settings.glue_database.replace("_", "").isalnum()
    assert settings.stack_name("data-lake") == f"sagestack-{stage}-data-lake"
