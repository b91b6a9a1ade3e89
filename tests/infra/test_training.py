"""The training stack: two roles that can do what their jobs do, and who may use them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.infra.conftest import Template, listed, text

Get = Callable[[str, str], Template]


def statements(template: Template, role: str) -> list[dict[str, Any]]:
    [policy] = [
        resource["Properties"]["PolicyDocument"]["Statement"]
        for name, resource in template.of_type("AWS::IAM::Policy").items()
        if name.startswith(role)
    ]
    found: list[dict[str, Any]] = policy
    return found


def objects(template: Template, role: str, action: str) -> set[str]:
    return {
        text(resource).split("us-east-1")[-1].strip(']}"')
        for statement in statements(template, role)
        if action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
        if "assets" not in text(resource)
    }


def test_each_role_writes_only_what_its_jobs_make(template: Get) -> None:
    training = template("local", "training")
    assert objects(training, "ProcessingRole", "s3:PutObject") == {"/datasets/*", "/evaluations/*"}
    assert objects(training, "TrainingRole", "s3:PutObject") == {"/models/*"}


def test_each_role_reads_only_what_its_jobs_take(template: Get) -> None:
    training = template("local", "training")
    reads = objects(training, "ProcessingRole", "s3:GetObject")
    assert reads == {"/flights/*", "/datasets/*", "/models/*"}
    assert objects(training, "TrainingRole", "s3:GetObject") == {"/datasets/*"}


def test_no_job_deletes(template: Get) -> None:
    assert "s3:DeleteObject" not in text(template("local", "training").body)


def test_each_role_reads_its_own_code_by_exact_key(template: Get) -> None:
    training = template("local", "training")
    for role, count in (("ProcessingRole", 2), ("TrainingRole", 1)):
        code = {
            text(resource)
            for statement in statements(training, role)
            if "s3:GetObject" in listed(statement["Action"])
            for resource in listed(statement["Resource"])
            if "assets" in text(resource)
        }
        assert len(code) == count
        assert not any("*" in arn for arn in code)


def test_only_these_two_roles_can_be_passed_and_only_to_sagemaker(template: Get) -> None:
    training = template("local", "training")
    [statement] = [s for s in training.statements() if "iam:PassRole" in listed(s["Action"])]
    roles = {r["Fn::GetAtt"][0] for r in statement["Resource"]}
    assert roles == set(training.of_type("AWS::IAM::Role"))
    assert statement["Condition"] == {
        "StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}
    }


def test_volumes_can_be_encrypted_where_there_is_a_key(template: Get) -> None:
    assert "kms:CreateGrant" in text(template("prod", "training").body)
    assert "kms:" not in text(template("local", "training").body)


def test_outputs(template: Get) -> None:
    assert template("local", "training").outputs() == {
        "ProcessingRoleArn",
        "TrainingRoleArn",
        "LauncherPolicyArn",
        "SplitCodeUri",
        "EvaluateCodeUri",
        "TrainingCodeUri",
        "SklearnImageUri",
    }
