"""InvokeEndpoint: one request to a model, and its answer.

Operations: InvokeEndpoint. InvokeEndpointAsync and InvokeEndpointWithResponseStream are
refused by name.
Not emulated, refused with ValidationError: multi-model and multi-container targets,
explanations, inference components, sessions.

Source of the texts: contract, section 3.3.
"""

from __future__ import annotations

import time
from typing import Any

from sagestack.aws.errors import AwsError
from sagestack.aws.registry import Request, Response
from sagestack.context import Context
from sagestack.sagemaker.service import runtime
from sagestack.serving.capture import Captured
from sagestack.serving.fleet import Unavailable
from sagestack.serving.metrics import Measure
from sagestack.serving.route import NoVariant, Route, Variant
from sagestack.serving.transport import Dropped, Reply, TimedOut

SECONDS = 60.0
"""A container has so long to answer."""
LARGEST_ANSWER = 6 * 1024**2
CUSTOM_ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
REFUSED = {
    "TargetModel": "is not a multi-model endpoint and does not support target model header",
    "TargetContainerHostname": "is not a multi-container endpoint and does not support target "
    "container hostname header",
    "EnableExplanations": "has no explainer and does not support enable explanations header",
    "InferenceComponentName": "has no inference components and does not support inference "
    "component header",
    "SessionId": "does not support sessions",
    "PrefixAwareId": "does not support prefix aware routing",
}


class ValidationError(AwsError):
    """What the runtime API calls a ValidationException."""

    code = "ValidationError"


class ModelError(AwsError):
    code = "ModelError"
    status = 424


class ServiceUnavailable(AwsError):
    code = "ServiceUnavailable"
    status = 503


class Throttling(AwsError):
    code = "ThrottlingException"


@runtime.operation("InvokeEndpoint")
def invoke_endpoint(request: Request, context: Context) -> Response:
    begun = time.perf_counter()
    name = request["EndpointName"]
    _refuse(request, name)
    body: Any = request.get("Body") or b""  # LocalStack parses an empty body to None
    if not isinstance(body, bytes | bytearray):
        body = body.encode() if isinstance(body, str) else body.read()
    caller = context.caller
    servers = context.instance.servers
    route = servers.route(caller.account, caller.region, name)
    while True:
        if route is None:
            raise ValidationError(f"Endpoint {name} of account {caller.account} not found.")
        variant = _variant(route, request, context)
        if len(body) > variant.most_bytes:
            raise _too_large(body, variant)
        try:
            return _Call(request, body, variant, context, begun).answer(route)
        except Unavailable:
            # The endpoint may just have moved to other servers; this call was not sent.
            before, route = route, servers.route(caller.account, caller.region, name)
            if route is before:
                raise ServiceUnavailable(
                    f"Endpoint {name} has no healthy instance for variant {variant.name}. "
                    "Please check CloudWatch logs for this endpoint."
                ) from None


class _Call:
    def __init__(
        self, request: Request, body: bytes, variant: Variant, context: Context, begun: float
    ) -> None:
        self._request, self._body, self._variant = request, bytes(body), variant
        self._context, self._begun = context, begun

    def answer(self, route: Route) -> Response:
        """Raises Unavailable, and ModelError and Throttling."""
        gate = self._variant.gate
        if gate is not None and not gate.enter():
            raise Throttling("Rate exceeded")
        try:
            reply = self._reply()
        finally:
            if gate is not None:
                gate.leave()
        if not 200 <= reply.status < 300:
            kind = "client" if reply.status < 500 else "server"
            raise self._model_error(kind, reply.status, reply.body.decode("utf-8", "replace"))
        if route.capture is not None and route.capture.wants():
            route.capture.add(self._captured(reply))
        response: Response = {
            "Body": reply.body,
            "InvokedProductionVariant": self._variant.name,
        }
        if content_type := reply.headers.get("Content-Type"):
            response["ContentType"] = content_type
        if attributes := reply.headers.get(CUSTOM_ATTRIBUTES):
            response["CustomAttributes"] = attributes
        return response

    def _reply(self) -> Reply:
        """Ask the model. Raises Unavailable, ModelError."""
        sent = time.perf_counter()
        status = 0
        try:
            reply = self._variant.fleet.invoke(self._body, self._headers(), SECONDS)
            status = reply.status
        except TimedOut:
            raise self._model_error(
                "server",
                0,
                "Your invocation timed out while waiting for a response from container primary. "
                "Review the latency metrics for each container in Amazon CloudWatch, resolve the "
                "issue, and try again.",
            ) from None
        except Dropped:
            raise self._model_error(
                "server", 0, "The container primary ended before it had answered."
            ) from None
        except Unavailable:
            status = 503
            raise
        finally:
            self._measure(status, time.perf_counter() - sent)
        if len(reply.body) > LARGEST_ANSWER:
            raise self._model_error(
                "server",
                reply.status,
                f"The answer of {len(reply.body)} bytes is larger than {LARGEST_ANSWER} bytes.",
            )
        return reply

    def _headers(self) -> dict[str, str]:
        headers = {}
        for member, header in (
            ("ContentType", "Content-Type"),
            ("Accept", "Accept"),
            ("CustomAttributes", CUSTOM_ATTRIBUTES),
            ("InferenceId", "X-Amzn-SageMaker-Inference-Id"),
        ):
            if value := self._request.get(member):
                headers[header] = value
        return headers

    def _measure(self, status: int, model_seconds: float) -> None:
        self._context.instance.servers.metrics.add(
            Measure(
                aws=self._context.aws,
                endpoint=self._request["EndpointName"],
                variant=self._variant.name,
                instances=max(1, len(self._variant.fleet.servers)),
                status=status,
                model_latency=model_seconds * 1e6,
                overhead=(time.perf_counter() - self._begun - model_seconds) * 1e6,
            )
        )

    def _captured(self, reply: Reply) -> Captured:
        return Captured(
            variant=self._variant.name,
            request=self._body,
            request_type=self._request.get("ContentType", ""),
            response=reply.body,
            response_type=reply.headers.get("Content-Type", ""),
            inference_id=self._request.get("InferenceId"),
            custom_attributes=self._request.get("CustomAttributes"),
        )

    def _model_error(self, kind: str, status: int, message: str) -> ModelError:
        caller = self._context.caller
        group = f"/aws/sagemaker/Endpoints/{self._request['EndpointName']}"
        return ModelError(
            f'Received {kind} error ({status}) from primary with message "{message}". See '
            f"https://{caller.region}.console.aws.amazon.com/cloudwatch/home?region="
            f"{caller.region}#logEventViewer:group={group} in account {caller.account} for more "
            "information.",
            members={
                "OriginalStatusCode": status,
                "OriginalMessage": message,
                "LogStreamArn": caller.arn("logs", f"log-group:{group}"),
            },
        )


def _refuse(request: Request, name: str) -> None:
    for member, text in REFUSED.items():
        if request.get(member):
            raise ValidationError(f"Endpoint {name} {text}.")


def _variant(route: Route, request: Request, context: Context) -> Variant:
    target = request.get("TargetVariant")
    try:
        return route.choose(target)
    except NoVariant:
        name, account = request["EndpointName"], context.caller.account
        if target is not None:
            raise ValidationError(
                f"Variant {target} of endpoint {name} of account {account} not found."
            ) from None
        raise ValidationError(
            f"Endpoint {name} of account {account} has no variant with a weight above 0."
        ) from None


def _too_large(body: Any, variant: Variant) -> ValidationError:
    return ValidationError(
        "1 validation error detected: Value at 'body' failed to satisfy constraint: Member must "
        f"have length less than or equal to {variant.most_bytes} (it has {len(body)})"
    )
