"""A processing job, carried out: download, run, upload, on a thread of the executor's.

Source of the texts: contract, section 2.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from sagestack.aws.store import Document
from sagestack.engine.channels import InputMissing, download_prefix, upload_directory
from sagestack.engine.container import Cause, Container, Exit, SandboxError, run
from sagestack.engine.executor import Control
from sagestack.engine.host import NoSuchBucket
from sagestack.engine.images import ImageBuildError
from sagestack.engine.workspace import LeadsOut, Workspace, inside, left_at
from sagestack.sagemaker.job_record import JobRecord
from sagestack.sagemaker.job_run import (
    JobLog,
    container_command,
    failure_reason,
    read_failure,
    role_variables,
    small_file,
)

LOG = logging.getLogger(__name__)
HOST = "algo-1"
INTERNAL_ERROR = "InternalServerError: We encountered an internal error. Please try again."
S3_INPUT = (
    "LocalPath",
    "S3Uri",
    "S3DataDistributionType",
    "S3DataType",
    "S3InputMode",
    "S3CompressionType",
)
LONGEST_MESSAGE = 1024
"""Bytes of /opt/ml/output/message that become the ExitMessage."""


class BadExitMessage(Exception):
    """/opt/ml/output/message is not UTF-8."""


def run_processing_job(job: JobRecord, control: Control) -> None:
    """Raises nothing: whatever happens ends in the record."""
    try:
        if job.read().status == "Stopping":
            control.stop()  # asked for before the executor knew the job
        if control.stop_requested:
            return _end(job, "Stopped")
        workspace = Workspace.create(job.context.instance.directory / "jobs", job.arn)
        try:
            _carry_out(job, control, workspace)
        finally:
            workspace.remove()
    except InputMissing as error:
        _end(job, "Failed", f"ClientError: {error}")
    except NoSuchBucket as error:
        _end(job, "Failed", f"ClientError: S3 bucket does not exist: {error}")
    except ImageBuildError as error:
        _end(job, "Failed", f"ClientError: The image could not be built: {error}")
    except (BadExitMessage, LeadsOut) as error:
        _end(job, "Failed", f"ClientError: {error}")
    except SandboxError as error:
        _end(job, "Failed", f"InternalServerError: {error}")
    except Exception:
        LOG.exception("%s", job.arn)
        _end(job, "Failed", INTERNAL_ERROR)


def end(document: Document, status: str, reason: str | None = None) -> None:
    """Write a terminal status into the document."""
    document["ProcessingJobStatus"] = status
    document["ProcessingEndTime"] = datetime.now(UTC)
    if reason:
        document["FailureReason"] = reason[:1024]


def _carry_out(job: JobRecord, control: Control, workspace: Workspace) -> None:
    document = job.read().document
    directory = workspace.host(HOST)
    _lay_out(directory, document, job.arn)
    for entry in document.get("ProcessingInputs", ()):
        source = entry["S3Input"]
        download_prefix(job.context.aws, source["S3Uri"], inside(directory, source["LocalPath"]))
    container = _container(job, document, directory)
    if control.stop_requested:
        return _end(job, "Stopped")

    def begins(document: Document) -> None:
        document["ProcessingStartTime"] = datetime.now(UTC)

    job.change(begins)
    log = JobLog(
        job.context.aws, "/aws/sagemaker/ProcessingJobs", document["ProcessingJobName"], HOST
    )
    try:
        ended = run(
            container,
            control,
            log.write,
            max_seconds=document["StoppingCondition"]["MaxRuntimeInSeconds"],
            grace=job.context.instance.stop_seconds,
        )
    finally:
        log.close()
    _finish(job, document, directory, ended)


def _lay_out(directory: Path, document: Document, arn: str) -> None:
    """The directories and files the platform writes."""
    for name in ("config", "processing", "output"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    for output in _outputs(document):
        inside(directory, output["S3Output"]["LocalPath"]).mkdir(parents=True, exist_ok=True)
    files: dict[str, Any] = {
        "processingjobconfig": _job_config(document, arn),
        "resourceconfig": {"current_host": HOST, "hosts": [HOST]},
    }
    for name, content in files.items():
        (directory / "config" / f"{name}.json").write_text(json.dumps(content))


def _job_config(document: Document, arn: str) -> dict[str, Any]:
    application = document["AppSpecification"]
    cluster = document["ProcessingResources"]["ClusterConfig"]
    return {
        "ProcessingJobArn": arn,
        "ProcessingJobName": document["ProcessingJobName"],
        "AppSpecification": {
            member: application.get(member)
            for member in ("ImageUri", "ContainerEntrypoint", "ContainerArguments")
        },
        "Environment": document.get("Environment"),
        "ProcessingInputs": [
            {
                "InputName": entry["InputName"],
                "S3Input": {member: entry["S3Input"].get(member) for member in S3_INPUT}
                | {"S3DownloadMode": "StartOfJob"},
            }
            for entry in document.get("ProcessingInputs", ())
        ],
        "ProcessingOutputConfig": {
            "Outputs": [
                {"OutputName": entry["OutputName"], "S3Output": entry["S3Output"]}
                for entry in _outputs(document)
            ],
            "KmsKeyId": document.get("ProcessingOutputConfig", {}).get("KmsKeyId"),
        },
        "ProcessingResources": {
            "ClusterConfig": {
                member: cluster.get(member)
                for member in ("InstanceCount", "InstanceType", "VolumeSizeInGB", "VolumeKmsKeyId")
            }
        },
        "RoleArn": document["RoleArn"],
        "StoppingCondition": document["StoppingCondition"],
    }


def _container(job: JobRecord, document: Document, directory: Path) -> Container:
    images = job.context.instance.images
    application = document["AppSpecification"]
    environment = images.environment(images.find(application["ImageUri"]))
    isolated = document.get("NetworkConfig", {}).get("EnableNetworkIsolation", False)
    return Container(
        environment=environment,
        command=container_command(
            environment,
            "process",
            application["ContainerEntrypoint"],
            application.get("ContainerArguments"),
        ),
        variables={
            "PROCESSING_JOB_NAME": document["ProcessingJobName"],
            "PROCESSING_JOB_ARN": job.arn,
            **role_variables(job.context.aws, document["RoleArn"], isolated=isolated),
            **document.get("Environment", {}),
        },
        directory=directory,
        host_names=(HOST,),
        threads=job.context.instance.executor.thread_share(),
        isolate_network=isolated,
    )


def _finish(job: JobRecord, document: Document, directory: Path, ended: Exit) -> None:
    """Upload the outputs, also of a failed job, and write how it ended."""
    kms_key_id = document.get("ProcessingOutputConfig", {}).get("KmsKeyId")
    for entry in _outputs(document):
        target = entry["S3Output"]
        upload_directory(
            job.context.aws,
            left_at(directory, target["LocalPath"]),
            target["S3Uri"],
            kms_key_id=kms_key_id,
        )
    message = _exit_message(directory)

    def to_end(document: Document) -> None:
        if message:
            document["ExitMessage"] = message
        if ended.cause is Cause.STOPPED or document["ProcessingJobStatus"] == "Stopping":
            end(document, "Stopped")
        elif ended.cause is Cause.TIMED_OUT:
            end(document, "Stopped", "ClientError: The job reached its MaxRuntimeInSeconds.")
        elif ended.code != 0:
            end(document, "Failed", failure_reason(read_failure(directory), ended.code))
        else:
            end(document, "Completed")

    job.change(to_end)


def _exit_message(directory: Path) -> str:
    path = small_file(directory, "/opt/ml/output/message")
    if path is None:
        return ""
    with path.open("rb") as file:
        content = file.read(LONGEST_MESSAGE)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        # A character cut in two by the limit is no fault of the job's.
        if error.start >= LONGEST_MESSAGE - 3:
            return content[: error.start].decode()
        raise BadExitMessage("/opt/ml/output/message is not UTF-8") from None


def _outputs(document: Document) -> list[dict[str, Any]]:
    outputs: list[dict[str, Any]] = document.get("ProcessingOutputConfig", {}).get("Outputs", [])
    return outputs


def _end(job: JobRecord, status: str, reason: str | None = None) -> None:
    job.change(partial(end, status=status, reason=reason))
