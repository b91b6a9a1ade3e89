"""What holds for every stack of every environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import Stack
from aws_cdk import aws_s3 as s3

from infra.app import build
from infra.constructs.code import ROOT
from infra.settings import Settings
from tests.infra.conftest import STAGES, Template, listed, text

Get = Callable[[str, str], Template]
CONCERNS = ("data-lake", "etl", "training", "serving")

TAGGABLE = {
    "AWS::S3::Bucket",
    "AWS::KMS::Key",
    "AWS::IAM::Role",
    "AWS::Glue::Job",
    "AWS::SageMaker::Model",
    "AWS::SageMaker::EndpointConfig",
    "AWS::SageMaker::Endpoint",
}
NOT_TAGGABLE = {
    "AWS::S3::BucketPolicy",
    "AWS::KMS::Alias",
    "AWS::IAM::Policy",
    "AWS::IAM::ManagedPolicy",
    "AWS::Glue::Database",
    "AWS::Glue::SecurityConfiguration",
}
# Actions that IAM knows no resource for.
NEED_STAR = {"ecr:GetAuthorizationToken", "cloudwatch:PutMetricData"}


def all_templates(template: Get) -> Iterator[tuple[str, str, Template]]:
    for stage in STAGES:
        for concern in CONCERNS:
            yield stage, concern, template(stage, concern)


def test_every_resource_that_can_has_the_five_tags(template: Get) -> None:
    for stage, _, stack in all_templates(template):
        for resource in stack.resources.values():
            assert resource["Type"] in TAGGABLE | NOT_TAGGABLE
            if resource["Type"] in TAGGABLE:
                tags = resource["Properties"]["Tags"]
                if isinstance(tags, list):
                    tags = {tag["Key"]: tag["Value"] for tag in tags}
                assert tags == Settings.of(stage).tags


def test_nothing_needs_a_lambda_function(template: Get) -> None:
    for _, _, stack in all_templates(template):
        for resource in stack.resources.values():
            assert not resource["Type"].startswith(("Custom::", "AWS::Lambda::"))
            assert resource["Type"] != "AWS::CloudFormation::CustomResource"


def test_no_action_is_a_wildcard_and_no_resource_unless_iam_has_none(template: Get) -> None:
    for _, _, stack in all_templates(template):
        for statement in stack.statements():
            actions = listed(statement["Action"])
            assert not any("*" in action for action in actions)
            if "*" in listed(statement["Resource"]):
                assert set(actions) <= NEED_STAR


def test_no_managed_policy_of_aws_is_attached(template: Get) -> None:
    for _, _, stack in all_templates(template):
        assert "ManagedPolicyArns" not in text(stack.body)


def test_environments_differ_in_values_not_in_resources(template: Get) -> None:
    of_key = {"AWS::KMS::Key", "AWS::KMS::Alias", "AWS::Glue::SecurityConfiguration"}
    for concern in CONCERNS:
        types = [
            sorted(
                resource["Type"]
                for resource in template(stage, concern).resources.values()
                if resource["Type"] not in of_key
            )
            for stage in STAGES
        ]
        assert types[0] == types[1] == types[2]


def test_no_output_is_exported_by_name(template: Get) -> None:
    for stage, concern, stack in all_templates(template):
        for name, output in stack.body.get("Outputs", {}).items():
            # The key's ARN is the one thing that stacks import from each other.
            assert "Export" not in output or name.startswith("ExportsOutputFnGetAttKey"), (
                stage,
                concern,
                name,
            )


@pytest.mark.parametrize("stage", STAGES)
def test_the_rules_find_nothing_and_every_acknowledgement_has_a_reason(
    assembly: Callable[[str], Path], stage: str
) -> None:
    report = json.loads((assembly(stage) / "validation-report.json").read_text())
    [nag] = [part for part in report["pluginReports"] if part["pluginName"] == "AwsSolutions"]
    assert nag["conclusion"] == "success"
    assert nag["violations"] == []
    for finding in nag["suppressedViolations"]:
        assert finding["acknowledgedId"].startswith("AwsSolutions::AwsSolutions-")
        assert len(finding["reason"]) > 15


def test_a_bad_bucket_stops_the_synth(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    app = build(outdir=str(tmp_path))
    s3.CfnBucket(Stack(app, "Careless"), "Bucket")
    with pytest.raises(RuntimeError, match="ValidationFailed"):
        app.synth()
    report = (tmp_path / "validation-report.json").read_text()
    assert "AwsSolutions-S1" in report
    assert "AwsSolutions-S10" in report


def test_a_wildcard_nobody_explained_stops_the_synth(tmp_path: Path) -> None:
    from aws_cdk import aws_iam as iam

    app = build(outdir=str(tmp_path))
    role = iam.Role(
        Stack(app, "Careless"), "Role", assumed_by=iam.ServicePrincipal("glue.amazonaws.com")
    )
    role.add_to_policy(iam.PolicyStatement(actions=["s3:*"], resources=["*"]))
    with pytest.raises(RuntimeError, match="ValidationFailed"):
        app.synth()
    assert "AwsSolutions-IAM5[Action::s3:*]" in (tmp_path / "validation-report.json").read_text()


def test_synth_is_deterministic_needs_no_credentials_and_passes_the_cdks_own_checks(
    assembly: Callable[[str], Path], tmp_path: Path
) -> None:
    """Another process, an empty home, no credentials, template validation on: the same bytes."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "CDK_OUTDIR": str(tmp_path / "out"),
        "CDK_CONTEXT_JSON": json.dumps({"env": "dev"}),
    }
    done = subprocess.run(
        [sys.executable, "app.py"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "out") == contents(assembly("dev"))


def contents(folder: Path) -> dict[str, bytes]:
    # Metadata and reports hold stack traces; what is deployed is templates and assets.
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if path.name.endswith((".template.json", ".assets.json")) or path.name.startswith("asset.")
    }


def test_the_cli_is_the_version_the_library_asks_for() -> None:
    package: dict[str, Any] = json.loads((ROOT / "package.json").read_text())
    lock = (ROOT / "package-lock.json").read_text()
    assert package["devDependencies"]["aws-cdk"].startswith("2.")
    assert "http" not in lock
