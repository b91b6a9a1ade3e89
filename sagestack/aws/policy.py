"""Identity policies, decided as IAM's policy simulator does when it is given no context.

A statement with a condition needs context to be decided, so it does not apply. An explicit
deny wins over any allow. Source: AWS's "Policy evaluation logic".
"""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any, Literal

Decision = Literal["allowed", "explicitDeny", "implicitDeny"]
Statement = dict[str, Any]


def decide(action: str, resource: str, statements: Iterable[Statement]) -> Decision:
    """Whether the statements allow an action such as `s3:PutObject` on a resource's ARN."""
    decision: Decision = "implicitDeny"
    for statement in statements:
        if not _applies(statement, action, resource):
            continue
        if statement.get("Effect") == "Deny":
            return "explicitDeny"
        decision = "allowed"
    return decision


def _applies(statement: Statement, action: str, resource: str) -> bool:
    if statement.get("Condition"):
        return False
    return _matches(statement, "Action", action.lower(), lower=True) and _matches(
        statement, "Resource", resource, lower=False
    )


def _matches(statement: Statement, element: str, value: str, *, lower: bool) -> bool:
    """`Action` or `NotAction`, `Resource` or `NotResource`; one pattern or a list of them."""
    for name, wanted in ((element, True), (f"Not{element}", False)):
        if name in statement:
            patterns = statement[name]
            patterns = [patterns] if isinstance(patterns, str) else patterns
            found = any(_match(p.lower() if lower else p, value) for p in patterns)
            return found is wanted
    return False  # a trust policy has no resource


def _match(pattern: str, value: str) -> bool:
    """`*` and `?` as IAM has them; brackets are letters like any other."""
    return fnmatchcase(value, pattern.replace("[", "[[]"))
