"""LocalStack's providers for the services that sagestack runs.

Every operation of a service goes to `dispatch`, which answers, or refuses those that
nobody owns. LocalStack parses the request and serialises the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from localstack.aws.api import CommonServiceException, RequestContext
from localstack.aws.skeleton import Skeleton
from localstack.aws.spec import load_service
from localstack.services.plugins import Service, aws_provider

import sagestack.services  # noqa: F401  binds the operations
from sagestack.aws.caller import Caller
from sagestack.aws.errors import AwsError
from sagestack.aws.registry import dispatch
from sagestack.context import Context
from sagestack.localstack.runtime import instance
from sagestack.sagemaker.waiting import hold


def _service(name: str) -> Service:
    model = load_service(name)
    table: dict[str, Callable[..., Any]] = {
        operation: partial(_answer, name, operation) for operation in model.operation_names
    }
    return Service(name, skeleton=Skeleton(model, table))


def _answer(service: str, operation: str, context: RequestContext, request: Any) -> Any:
    caller = Caller(context.account_id, context.region, context.partition)
    ours = Context(caller, instance())
    hold(operation, request, ours, context.request.headers.get("User-Agent", ""))
    try:
        return dispatch(service, operation, dict(request), ours)
    except AwsError as error:
        raise _as_localstack(error) from error


def _as_localstack(error: AwsError) -> CommonServiceException:
    exception = CommonServiceException(
        error.code, error.message, status_code=error.status, sender_fault=error.status < 500
    )
    for member, value in error.members.items():
        setattr(exception, member, value)
    return exception


@aws_provider(api="sagemaker")  # type: ignore[untyped-decorator]
def sagemaker() -> Service:
    return _service("sagemaker")


@aws_provider(api="sagemaker-runtime")  # type: ignore[untyped-decorator]
def sagemaker_runtime() -> Service:
    return _service("sagemaker-runtime")


@aws_provider(api="glue")  # type: ignore[untyped-decorator]
def glue() -> Service:
    return _service("glue")


@aws_provider(api="athena")  # type: ignore[untyped-decorator]
def athena() -> Service:
    """No operation runs yet; each is refused by its name."""
    return _service("athena")
