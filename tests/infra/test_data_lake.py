"""The data lake's buckets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.infra.conftest import STAGES, Template, text

Get = Callable[[str, str], Template]


def buckets(template: Template) -> dict[str, dict[str, Any]]:
    return template.of_type("AWS::S3::Bucket")


@pytest.mark.parametrize("stage", STAGES)
def test_every_bucket_is_encrypted_versioned_private_and_on_eventbridge(
    template: Get, stage: str
) -> None:
    found = buckets(template(stage, "data-lake"))
    assert len(found) == 4
    for resource in found.values():
        properties = resource["Properties"]
        assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
        assert set(properties["PublicAccessBlockConfiguration"].values()) == {True}
        assert properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        events = properties["NotificationConfiguration"]["EventBridgeConfiguration"]
        assert events == {"EventBridgeEnabled": True}
        assert properties["LifecycleConfiguration"]["Rules"]


@pytest.mark.parametrize("stage", STAGES)
def test_every_bucket_refuses_requests_without_tls(template: Get, stage: str) -> None:
    lake = template(stage, "data-lake")
    refused = {
        text(resource["Properties"]["Bucket"])
        for resource in lake.of_type("AWS::S3::BucketPolicy").values()
        for statement in resource["Properties"]["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Deny"
        and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    }
    assert refused == {text({"Ref": name}) for name in buckets(lake)}


def test_access_to_data_is_logged(template: Get) -> None:
    lake = template("local", "data-lake")
    prefixes = {
        resource["Properties"].get("LoggingConfiguration", {}).get("LogFilePrefix")
        for resource in buckets(lake).values()
    }
    assert prefixes == {"raw/", "curated/", "model/", None}


def test_local_data_goes_with_its_stack(template: Get) -> None:
    found = buckets(template("local", "data-lake")).values()
    assert {bucket["DeletionPolicy"] for bucket in found} == {"Delete"}


def test_production_data_survives_stack_deletion(template: Get) -> None:
    lake = template("prod", "data-lake")
    kept = [*buckets(lake).values(), *lake.of_type("AWS::KMS::Key").values()]
    assert {resource["DeletionPolicy"] for resource in kept} == {"Retain"}
    assert {resource["UpdateReplacePolicy"] for resource in kept} == {"Retain"}


def test_dev_and_prod_have_a_key_of_their_own_that_rotates(template: Get) -> None:
    for stage in ("dev", "prod"):
        lake = template(stage, "data-lake")
        assert lake.only("AWS::KMS::Key")["EnableKeyRotation"] is True
        encrypted = [
            resource
            for resource in buckets(lake).values()
            if "aws:kms" in text(resource["Properties"]["BucketEncryption"])
        ]
        # All but the log bucket, to which S3 delivers only with its own keys.
        assert len(encrypted) == 3


def test_local_needs_no_key(template: Get) -> None:
    assert not template("local", "data-lake").of_type("AWS::KMS::Key")


def test_raw_and_quarantined_data_expire(template: Get) -> None:
    rules = {
        rule["Id"]: rule
        for resource in buckets(template("prod", "data-lake")).values()
        for rule in resource["Properties"]["LifecycleConfiguration"]["Rules"]
    }
    assert rules["raw"]["ExpirationInDays"] == 400
    assert rules["quarantine"]["Prefix"] == "quarantine/flights/"
    assert rules["superseded"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}


def test_names_hold_account_and_region_and_nothing_random(template: Get) -> None:
    names = {
        text(b["Properties"]["BucketName"]) for b in buckets(template("dev", "data-lake")).values()
    }
    assert len(names) == 4
    for name in names:
        assert "sagestack-dev-" in name
        assert "AWS::AccountId" in name
        assert "-us-east-1" in name


def test_outputs(template: Get) -> None:
    buckets_ = {"RawBucketName", "CuratedBucketName", "ModelBucketName", "LogBucketName"}
    assert template("local", "data-lake").outputs() == buckets_
    assert {"DataKeyArn", *buckets_} <= template("prod", "data-lake").outputs()
