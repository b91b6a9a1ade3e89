"""Hold an answer of CloudFormation back until its stack is done.

The CDK's command line looks at a stack at once after starting a change, and then waits five
seconds before it looks again, so a change that takes a second costs five. With
SAGESTACK_HOLD_STACKS=<seconds> the calls that start a change answer when the stack is done,
or when so many seconds have passed. AWS answers at once; so does LocalStack without it.
"""

from __future__ import annotations

import time
from typing import Any

from localstack.aws.api import RequestContext
from localstack.aws.handlers import run_custom_response_handlers
from localstack.services.cloudformation.stores import get_cloudformation_store
from localstack.services.cloudformation.v2.provider import find_change_set_v2, find_stack_v2

CALLS = ("ExecuteChangeSet", "CreateStack", "UpdateStack", "DeleteStack")


def hold_stacks(longest: float) -> None:
    """Hold the answers of `CALLS` for up to `longest` seconds."""

    def hold(_chain: Any, context: RequestContext, response: Any) -> None:
        operation = context.operation
        if operation is None or operation.name not in CALLS or response.status_code != 200:
            return
        stack = _stack(context)
        deadline = time.monotonic() + longest
        while stack is not None and _in_progress(stack) and time.monotonic() < deadline:
            time.sleep(0.02)

    run_custom_response_handlers.append(hold)


def _stack(context: RequestContext) -> Any:
    state = get_cloudformation_store(context.account_id, context.region)
    request: Any = context.service_request
    if context.operation.name == "ExecuteChangeSet":
        change_set = find_change_set_v2(state, request["ChangeSetName"], request.get("StackName"))
        return change_set.stack if change_set else None
    return find_stack_v2(state, request["StackName"])


def _in_progress(stack: Any) -> bool:
    return str(stack.status).endswith("_IN_PROGRESS")
