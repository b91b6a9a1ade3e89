"""Operations: plain functions, bound to an AWS service and operation by name.

A name that the service's model does not have, or a second function for one operation,
fails at import. An operation nobody bound is refused by `dispatch` with its name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

import botocore.session
from botocore.model import OperationModel, ServiceModel

from sagestack.aws.errors import OperationNotSupported
from sagestack.aws.validation import validate

Request = dict[str, Any]
Response = dict[str, Any]
Handler = Callable[[Request, Any], Response]


class Fidelity(StrEnum):
    """What an operation does, as docs/fidelity.md lists it."""

    RUNS = "runs"
    """Does what AWS does, as far as a client can observe."""
    STORES = "stores"
    """Keeps a record that is a record by nature."""


@dataclass(frozen=True)
class Operation:
    service: str
    name: str
    handler: Handler
    fidelity: Fidelity
    model: OperationModel


_operations: dict[tuple[str, str], Operation] = {}


@cache
def service_model(service: str) -> ServiceModel:
    """botocore's model of a service, such as `sagemaker` or `sagemaker-runtime`."""
    return botocore.session.get_session().get_service_model(service)


class Service:
    """An AWS service that operations are bound to."""

    def __init__(self, name: str) -> None:
        self.name = name

    def operation(
        self, name: str, fidelity: Fidelity = Fidelity.RUNS
    ) -> Callable[[Handler], Handler]:
        """Bind the decorated function `(request, context) -> response` to an operation."""

        def bind(handler: Handler) -> Handler:
            if name not in service_model(self.name).operation_names:
                raise LookupError(f"{self.name} has no operation {name!r}")
            if (self.name, name) in _operations:
                owner = _operations[self.name, name].handler.__module__
                raise LookupError(f"{self.name}:{name} is already owned by {owner}")
            model = service_model(self.name).operation_model(name)
            _operations[self.name, name] = Operation(self.name, name, handler, fidelity, model)
            return handler

        return bind


def operations(service: str | None = None) -> list[Operation]:
    """Every bound operation, by service and name."""
    bound = (o for (owner, _), o in sorted(_operations.items()) if service in (None, owner))
    return list(bound)


def dispatch(service: str, operation: str, request: Request, context: Any) -> Response:
    """Answer one call: refuse it, reject its input, or run its operation.

    Raises AwsError.
    """
    bound = _operations.get((service, operation))
    if bound is None:
        raise OperationNotSupported(service, operation)
    validate(bound.model, request)
    return bound.handler(request, context)
