"""IAM policies, decided without context."""

from __future__ import annotations

import pytest

from sagestack.aws.policy import decide


def statement(effect: str, action: object, resource: object, **more: object) -> dict[str, object]:
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


@pytest.mark.parametrize(
    ("action", "resource"),
    [("*", "*"), ("s3:*", "*"), (["s3:Put*"], ["arn:aws:s3:::b/*"]), ("S3:putobject", "*")],
)
def test_wildcard_allows(action: object, resource: object) -> None:
    statements = [statement("Allow", action, resource)]
    assert decide("s3:PutObject", "arn:aws:s3:::b/k", statements) == "allowed"


def test_what_nothing_allows_is_denied_implicitly() -> None:
    assert decide("s3:PutObject", "*", [statement("Allow", "s3:GetObject", "*")]) == "implicitDeny"


def test_deny_wins_wherever_it_stands() -> None:
    both = [statement("Deny", "s3:*", "*"), statement("Allow", "*", "*")]
    assert decide("s3:PutObject", "*", both) == decide("s3:PutObject", "*", both[::-1])
    assert decide("s3:PutObject", "*", both) == "explicitDeny"


def test_not_action_is_everything_else() -> None:
    statements = [{"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}]
    assert decide("s3:PutObject", "*", statements) == "allowed"
    assert decide("iam:CreateUser", "*", statements) == "implicitDeny"


def test_statement_with_a_condition_does_not_apply_without_context() -> None:
    tls_only = statement("Deny", "*", "*", Condition={"Bool": {"aws:SecureTransport": "false"}})
    assert decide("s3:PutObject", "*", [tls_only, statement("Allow", "*", "*")]) == "allowed"


def test_trust_policy_allows_nothing() -> None:
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "x"}}
    assert decide("sts:AssumeRole", "*", [trust]) == "implicitDeny"
