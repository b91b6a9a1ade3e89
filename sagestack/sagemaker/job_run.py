"""What carrying out any SageMaker job takes: its command, its log, its failure text."""

from __future__ import annotations

import time
from pathlib import Path

from sagestack.engine.channels import InputMissing
from sagestack.engine.container import SandboxError
from sagestack.engine.host import AwsSession, BadKey, NoSuchBucket
from sagestack.engine.images import Environment, ImageBuildError
from sagestack.engine.logs import LogWriter
from sagestack.engine.programs import image_program
from sagestack.engine.workspace import LeadsOut, left_at

LONGEST_FAILURE = 1024
"""Characters of /opt/ml/output/failure that become the FailureReason."""


INTERNAL_ERROR = "InternalServerError: We encountered an internal error. Please try again."
"""The FailureReason of a fault of our own."""


def known_reason(error: Exception, *request_errors: type[Exception]) -> str | None:
    """The FailureReason of what the request or the machine is to blame for; None for our own
    faults. `request_errors` are those that only one kind of job has."""
    match error:
        case SandboxError():
            return f"InternalServerError: {error}"
        case NoSuchBucket():
            return f"ClientError: S3 bucket does not exist: {error}"
        case ImageBuildError():
            return f"ClientError: The image could not be built: {error}"
        case InputMissing() | LeadsOut() | BadKey():
            return f"ClientError: {error}"
        case _:
            return f"ClientError: {error}" if isinstance(error, request_errors) else None


class JobLog(LogWriter):
    """The stream of one host: `<job>/<host>-<epoch milliseconds>`."""

    def __init__(self, aws: AwsSession, group: str, job_name: str, host: str) -> None:
        super().__init__(aws, group, f"{job_name}/{host}-{int(time.time() * 1000)}")


def container_command(
    environment: Environment,
    program: str,
    entrypoint: list[str] | None,
    arguments: list[str] | None,
) -> tuple[str, ...]:
    """The request's entrypoint and arguments, or the image's own program and the arguments.

    Raises ProgramMissing.
    """
    if entrypoint:
        return (*entrypoint, *(arguments or ()))
    return (*image_program(environment, program), *(arguments or ()))


# How AWS's log driver writes the signs that would move a cursor: a tab is #011.
CONTROL = {number: f"#{number:03o}" for number in (*range(32), 127)}


def as_logged(line: str) -> str:
    """A line as CloudWatch has it, and as the regexes of metrics see it."""
    return line.translate(CONTROL)


def read_failure(directory: Path) -> str:
    """What the program wrote to /opt/ml/output/failure, cut as AWS cuts it."""
    path = small_file(directory, "/opt/ml/output/failure")
    if path is None:
        return ""
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.read(LONGEST_FAILURE).strip()


def small_file(directory: Path, container_path: str) -> Path | None:
    """Where a file lies that the program may have left; None where it left no plain file."""
    try:
        path = left_at(directory, container_path)
    except LeadsOut:
        return None
    return path if path.is_file() else None


def role_variables(aws: AwsSession, role_arn: str, *, isolated: bool) -> dict[str, str]:
    """The role's credentials; none where the network is isolated, as no service can be
    reached. Source: EnableNetworkIsolation."""
    if isolated:
        return {"AWS_REGION": aws.region, "AWS_DEFAULT_REGION": aws.region}
    return aws.role_environment(role_arn, "SageMaker")


def failure_reason(text: str, code: int) -> str:
    """`AlgorithmError: <text>, exit code: n`, with an empty text where there is none."""
    return f"AlgorithmError: {text}, exit code: {code}"


def volume_full(gigabytes: int) -> str:
    return (
        f"ClientError: The job has filled its volume of {gigabytes} GB. Please raise "
        "VolumeSizeInGB, or write less to /opt/ml and /tmp."
    )
