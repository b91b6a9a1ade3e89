"""Glue's errors: 400, as botocore's model gives them no status.

AwsError
├── EntityNotFoundException           what is named does not exist
├── AlreadyExistsException            the name is taken
├── InvalidInputException             a rule that the service model can't say
├── InvalidStateException             what is stored does not allow it
├── IdempotentParameterMismatchException  a job of this name exists and is another
├── ConcurrentModificationException   it was changed since the version that was named
└── ConcurrentRunsExceededException   the job runs MaxConcurrentRuns times already
"""

from __future__ import annotations

from sagestack.aws.errors import AwsError


class EntityNotFoundException(AwsError):
    code = "EntityNotFoundException"

    def __init__(self, message: str = "Entity Not Found") -> None:
        super().__init__(message)


class AlreadyExistsException(AwsError):
    code = "AlreadyExistsException"


class InvalidInputException(AwsError):
    code = "InvalidInputException"


class InvalidStateException(AwsError):
    code = "InvalidStateException"


class IdempotentParameterMismatchException(AwsError):
    code = "IdempotentParameterMismatchException"


class ConcurrentModificationException(AwsError):
    code = "ConcurrentModificationException"


class ConcurrentRunsExceededException(AwsError):
    code = "ConcurrentRunsExceededException"


def error_detail(error: AwsError) -> dict[str, str]:
    """What the batch operations answer for an item that failed."""
    return {"ErrorCode": error.code, "ErrorMessage": error.message}
