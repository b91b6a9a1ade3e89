"""What a job definition may say, beyond the service model; and what it says by default.

Source: the API reference of CreateJob, and the developer guide's "Python shell jobs" and
"Using job parameters".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sagestack.aws.document import Document
from sagestack.aws.registry import Request
from sagestack.glue.errors import InvalidInputException
from sagestack.glue.service import refuse

PYTHON_SHELL = "pythonshell"
OF_AWS = (PYTHON_SHELL, "glueetl", "gluestreaming", "glueray")
CAPACITIES = (0.0625, 1.0)
"""The DPUs that a Python shell job may have."""
DEFAULT_TIMEOUT = 2880
LONGEST_TIMEOUT = 10_080
"""Minutes: seven days."""
MOST_RETRIES = 10
INTERNAL_ARGUMENTS = ("--JOB_NAME", "--JOB_RUN_ID", "--conf", "--debug", "--mode")
"""Glue sets these itself; the guide says never to."""


def job_definition(operation: str, wanted: Mapping[str, Any]) -> Document:
    """The definition a Create or Update request asks for, with AWS's defaults.

    Raises InvalidInputException.
    """
    refuse(
        operation,
        wanted,
        *("CodeGenConfigurationNodes", "MaintenanceWindow", "JobRunQueuingEnabled"),
    )
    refuse(operation, wanted.get("Connections", {}), "Connections")
    refuse(operation, wanted.get("NotificationProperty", {}), "NotifyDelayAfter")
    _check_command(wanted.get("Command"))
    check_capacity(wanted)
    check_arguments(wanted.get("DefaultArguments"))
    check_arguments(wanted.get("NonOverridableArguments"))
    check_timeout(wanted.get("Timeout"))
    if not wanted.get("Role", "").strip():
        raise InvalidInputException("Role is required.")
    if not 0 <= wanted.get("MaxRetries", 0) <= MOST_RETRIES:
        raise InvalidInputException(f"MaxRetries must be between 0 and {MOST_RETRIES}.")
    capacity = wanted.get("MaxCapacity") or wanted.get("AllocatedCapacity") or CAPACITIES[0]
    return {
        "JobMode": "SCRIPT",
        "MaxRetries": 0,
        "Timeout": DEFAULT_TIMEOUT,
        "GlueVersion": "1.0",
        **{member: value for member, value in wanted.items() if member not in ("Name", "Tags")},
        "ExecutionProperty": _execution_property(wanted),
        "MaxCapacity": float(capacity),
        "AllocatedCapacity": int(capacity),
    }


def check_capacity(request: Request | Mapping[str, Any]) -> None:
    """Of a job or of one run."""
    if request.get("WorkerType") or request.get("NumberOfWorkers"):
        raise InvalidInputException(f"Worker Type is not supported for Job Command {PYTHON_SHELL}")
    if request.get("ExecutionClass", "STANDARD") != "STANDARD":
        raise InvalidInputException(f"ExecutionClass FLEX is not supported for {PYTHON_SHELL}.")
    if request.get("MaxCapacity") and request.get("AllocatedCapacity"):
        raise InvalidInputException("Please set only Allocated Capacity or Max Capacity.")
    for member in ("MaxCapacity", "AllocatedCapacity"):
        if request.get(member) and request[member] not in CAPACITIES:
            raise InvalidInputException(
                f"{member} of a Python shell job must be 0.0625 or 1, and is {request[member]}."
            )


def check_timeout(minutes: int | None) -> None:
    if minutes is not None and minutes > LONGEST_TIMEOUT:
        raise InvalidInputException(
            f"Timeout must be at most {LONGEST_TIMEOUT} minutes, and is {minutes}."
        )


def check_arguments(arguments: Mapping[str, str] | None) -> None:
    for name in INTERNAL_ARGUMENTS:
        if name in (arguments or {}):
            raise InvalidInputException(f"The argument {name} is Glue's own and can't be set.")


def _check_command(command: Mapping[str, Any] | None) -> None:
    name = (command or {}).get("Name")
    if command is None or not name:
        raise InvalidInputException("Command.Name is required.")
    if name not in OF_AWS:
        raise InvalidInputException(f"Invalid Command.Name {name!r}. Valid: {', '.join(OF_AWS)}.")
    if name != PYTHON_SHELL:
        raise InvalidInputException(
            f"sagestack does not run jobs with Command.Name {name!r}. It runs {PYTHON_SHELL!r}. "
            "Nothing was changed."
        )
    if command.get("PythonVersion") == "2":
        raise InvalidInputException("PythonVersion 2 has ended. Valid: 3, 3.9.")
    # AWS takes any location: one where no script lies is found out when the job runs.
    if not command.get("ScriptLocation"):
        raise InvalidInputException("Command.ScriptLocation is required.")


def _execution_property(wanted: Mapping[str, Any]) -> dict[str, int]:
    most = wanted.get("ExecutionProperty", {}).get("MaxConcurrentRuns", 1)
    if most < 1:
        raise InvalidInputException("MaxConcurrentRuns must be at least 1.")
    return {"MaxConcurrentRuns": most}
