"""Answers boto3's calls in this process, before botocore would send them.

Two of botocore's events do it, registered for every session made from now on, as moto
registers its own: one gives the call's parameters, the other takes the answer in place of
the network's. Moto, which comes in later, never hears of these services, so it does not
answer for what sagestack refuses. A client with an endpoint of its own is left alone.
"""

from __future__ import annotations

import io
import os
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.handlers import BUILTIN_HANDLERS
from botocore.model import OperationModel
from moto.iam.models import get_account_id_from
from moto.utilities.utils import get_partition

from sagestack.aws.caller import Caller
from sagestack.aws.errors import AwsError
from sagestack.aws.registry import dispatch, operations
from sagestack.context import Context, Instance
from sagestack.sagemaker.waiting import hold
from sagestack.testing.wire import answered, received

SERVICES = frozenset({"athena", "glue", "sagemaker", "sagemaker-runtime"})
"""Answered or refused, never moto's. Services with a bound operation join them."""
AWS = (".amazonaws.com", ".amazonaws.com.cn")
PARAMETERS = "sagestack-parameters"

Answer = tuple[AWSResponse, dict[str, Any]]


def intercept(instance: Callable[[], Instance | None]) -> None:
    """Answer with the instance that there is at the time of a call; where there is none, the
    call goes its way. For sessions made after this."""
    services = SERVICES | {operation.service for operation in operations()}

    def keep(params: Any, model: OperationModel, context: Any, **_: Any) -> None:
        if model.service_model.service_name in services:
            context[PARAMETERS] = params

    def answer(
        params: Any, model: OperationModel, request_signer: Any, context: Any, **_: Any
    ) -> Answer | None:
        here = instance()
        if here is None or PARAMETERS not in context:
            return None
        if not (urlsplit(params["url"]).hostname or "").endswith(AWS):
            return None
        region = context["client_region"]
        caller = Caller(_account(request_signer), region, get_partition(region))
        ours, request = Context(caller, here), received(model, context[PARAMETERS])
        hold(model.name, request, ours, str(params["headers"].get("User-Agent", "")))
        return _answer(model, request, ours)

    BUILTIN_HANDLERS.extend([("before-parameter-build", keep), ("before-call", answer)])


def _account(signer: Any) -> str:
    """The account that moto takes a caller for. Its credentials have no public name."""
    if account := os.environ.get("MOTO_ACCOUNT_ID"):
        return account
    account = get_account_id_from(signer._credentials.get_frozen_credentials().access_key)
    return str(account)


def _answer(model: OperationModel, request: dict[str, Any], context: Context) -> Answer:
    status, parsed = 200, {}
    try:
        service = model.service_model.service_name
        parsed = answered(model, dispatch(service, model.name, request, context))
    except AwsError as error:
        status = error.status
        parsed = {"Error": {"Code": error.code, "Message": error.message}, **error.members}
    request_id = str(uuid.uuid4())
    headers = HTTPHeaders()
    headers["x-amzn-requestid"] = request_id
    parsed["ResponseMetadata"] = {
        "RequestId": request_id,
        "HTTPStatusCode": status,
        "HTTPHeaders": dict(headers.items()),
        "RetryAttempts": 0,
    }
    return AWSResponse("", status, headers, io.BytesIO()), parsed
