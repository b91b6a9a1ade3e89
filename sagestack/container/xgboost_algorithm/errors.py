"""What ends a training job.

The names are those of AWS's toolkit, and a job's failure reason begins with one of them.
"""

from __future__ import annotations


class ToolkitError(Exception):
    def __init__(self, message: str, caused_by: Exception | None = None) -> None:
        cause = f" (caused by {type(caused_by).__name__})" if caused_by else ""
        super().__init__(f"{message}{cause}")


class UserError(ToolkitError):
    """The job's input is at fault; the text is for its owner."""


class AlgorithmError(ToolkitError):
    """XGBoost could not train on an input that looked right."""


def failure_text(error: BaseException) -> str:
    """The last line of what AWS's container leaves in /opt/ml/output/failure; the lines
    before it are the traceback."""
    return f"sagemaker_algorithm_toolkit.exceptions.{type(error).__name__}: {error}"


def without_stack(error: Exception) -> str:
    """What XGBoost says, without the addresses in its library: a failure reason is short."""
    return str(error).split("\nStack trace:", 1)[0]
