"""The errors an AWS API answers with.

AwsError                        any error: code, message, HTTP status, extra members
├── ValidationException         400, SageMaker's answer to nearly every bad request
├── ResourceInUse               400, the name is taken
├── ResourceNotFound            400, newer SageMaker kinds
├── ResourceLimitExceeded       400, a quota
├── SerializationException      400, a member of the wrong JSON type
└── OperationNotSupported       501, sagestack does not run this operation

Services with codes of their own (Glue, the SageMaker runtime) subclass AwsError beside
the operations that raise them. Source: botocore's service models, where no SageMaker or
Glue error carries a status, so they are 400.
"""

from __future__ import annotations

from typing import Any


class AwsError(Exception):
    """An error as a client sees it.

    `members` are the modelled members beside `Message`, such as `OriginalStatusCode`.
    """

    code = "InternalFailure"
    status = 400

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        status: int | None = None,
        members: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.code
        self.status = status or self.status
        self.members = members or {}


class ValidationException(AwsError):
    code = "ValidationException"


class ResourceInUse(AwsError):
    code = "ResourceInUse"


class ResourceNotFound(AwsError):
    code = "ResourceNotFound"


class ResourceLimitExceeded(AwsError):
    code = "ResourceLimitExceeded"


class SerializationException(AwsError):
    code = "SerializationException"


class OperationNotSupported(AwsError):
    """501 is not retried by the SDKs, so the caller hears of it at once."""

    code = "OperationNotSupported"
    status = 501

    def __init__(self, service: str, operation: str) -> None:
        super().__init__(
            f"sagestack does not run {service}:{operation}. "
            "Nothing was changed. docs/fidelity.md lists what runs."
        )
