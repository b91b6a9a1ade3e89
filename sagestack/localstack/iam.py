"""Mends IAM's SimulatePrincipalPolicy, which the SageMaker SDK calls before it does anything.

LocalStack 4.14 answers 500 without ResourceArns, and compares actions and resources letter
by letter, so that `s3:*` allows nothing.
"""

from __future__ import annotations

import json
from typing import Any

from localstack.services.iam.resources.policy_simulator import BasicIAMPolicySimulator

from sagestack.aws.policy import decide


def mend_policy_simulation() -> None:
    BasicIAMPolicySimulator.simulate_principal_policy = _simulate


def _simulate(self: Any, context: Any, request: Any) -> dict[str, Any]:
    backend = self.get_iam_backend(context)
    documents = self.get_policies_from_principal(backend, request["PolicySourceArn"])
    documents += request.get("PolicyInputList") or []
    statements: list[dict[str, Any]] = []
    for document in documents:
        statement = json.loads(document)["Statement"]
        statements += statement if isinstance(statement, list) else [statement]
    return {
        "IsTruncated": False,
        "EvaluationResults": [
            {
                "EvalActionName": action,
                "EvalResourceName": resource,
                "EvalDecision": decide(action, resource, statements),
                "MatchedStatements": [],
                "MissingContextValues": [],
            }
            for action in request["ActionNames"]
            for resource in request.get("ResourceArns") or ["*"]
        ],
    }
