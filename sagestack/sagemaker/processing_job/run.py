"""A processing job, carried out: download, run, upload, on a thread of the executor's.

Source of the texts: contract, section 2.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from sagestack.aws.document import Document
from sagestack.engine.channels import upload_directory
from sagestack.engine.cluster import ClusterExit, host_addresses, run_cluster
from sagestack.engine.container import Cause, Container
from sagestack.engine.continuous import ContinuousUpload
from sagestack.engine.executor import Control
from sagestack.engine.fast_file import Mount
from sagestack.engine.inputs import Inputs
from sagestack.engine.instance_types import GIB, limits_of
from sagestack.engine.workspace import Workspace, left_at
from sagestack.sagemaker.job_operations import finish
from sagestack.sagemaker.job_record import PROCESSING_JOB, JobRecord
from sagestack.sagemaker.job_run import (
    INTERNAL_ERROR,
    JobLog,
    container_command,
    failure_reason,
    known_reason,
    read_failure,
    role_variables,
    small_file,
    volume_full,
)
from sagestack.sagemaker.processing_job.layout import (
    hosts_of,
    input_channels,
    lay_out,
    outputs_of,
)

LOG = logging.getLogger(__name__)
LOG_GROUP = "/aws/sagemaker/ProcessingJobs"
LONGEST_MESSAGE = 1024
"""Bytes of /opt/ml/output/message, of all hosts together, that become the ExitMessage."""


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
            _ProcessingRun(job, workspace).carry_out(control)
        finally:
            workspace.remove()
    except Exception as error:
        reason = known_reason(error, BadExitMessage)
        if reason is None:
            LOG.exception("%s", job.arn)
        _end(job, "Failed", reason or INTERNAL_ERROR)


class _ProcessingRun:
    def __init__(self, job: JobRecord, workspace: Workspace) -> None:
        self._job = job
        self._aws = job.context.aws
        self._document = job.read().document
        self._hosts = hosts_of(self._document)
        self._addresses = host_addresses(self._hosts)
        self._directories = [workspace.host(host) for host in self._hosts]
        self._cluster = self._document["ProcessingResources"]["ClusterConfig"]
        self._kms_key_id = self._document.get("ProcessingOutputConfig", {}).get("KmsKeyId")

    def carry_out(self, control: Control) -> None:
        with ExitStack() as stack:
            for host, directory in zip(self._hosts, self._directories, strict=True):
                lay_out(directory, self._document, self._job.arn, host)
            channels = input_channels(self._document)
            inputs = Inputs(self._aws, channels, self._hosts, lambda: control.stop_requested)
            stack.callback(inputs.close)
            containers = [
                self._container(host, directory, inputs.bring(host, directory))
                for host, directory in zip(self._hosts, self._directories, strict=True)
            ]
            if control.stop_requested:
                return _end(self._job, "Stopped")
            self._job.change(_begin)
            ended = self._run(control, containers)
            if error := inputs.error():
                raise error
            self._finish(ended)

    def _run(self, control: Control, containers: Sequence[Container]) -> ClusterExit:
        """The log and the continuous outputs are complete when this returns."""
        name = self._document["ProcessingJobName"]
        with ExitStack() as stack:
            logs = [JobLog(self._aws, LOG_GROUP, name, host) for host in self._hosts]
            for log in logs:
                stack.callback(log.close)
            for upload in self._continuous_uploads():
                stack.callback(upload.close)
            return run_cluster(
                containers,
                control,
                [log.write for log in logs],
                max_seconds=self._document["StoppingCondition"]["MaxRuntimeInSeconds"],
                grace=self._job.context.instance.stop_seconds,
                volume=self._cluster["VolumeSizeInGB"] * GIB,
            )

    def _container(self, host: str, directory: Path, mounts: tuple[Mount, ...]) -> Container:
        instance, document = self._job.context.instance, self._document
        application = document["AppSpecification"]
        environment = instance.images.environment(instance.images.find(application["ImageUri"]))
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
                "PROCESSING_JOB_ARN": self._job.arn,
                **role_variables(self._aws, document["RoleArn"], isolated=isolated),
                **document.get("Environment", {}),
            },
            directory=directory,
            host_names=(host, *(other for other in self._hosts if other != host)),
            addresses=self._addresses,
            threads=instance.executor.thread_share(),
            mounts=mounts,
            limits=limits_of(self._cluster["InstanceType"]),
            isolate_network=isolated,
        )

    def _continuous_uploads(self) -> Iterator[ContinuousUpload]:
        for directory in self._directories:
            for target in (entry["S3Output"] for entry in outputs_of(self._document)):
                if target["S3UploadMode"] == "Continuous":
                    path, uri = target["LocalPath"], target["S3Uri"]
                    yield ContinuousUpload(
                        self._aws, directory, path, uri, kms_key_id=self._kms_key_id
                    )

    def _finish(self, ended: ClusterExit) -> None:
        """Upload the outputs, also of a failed job, and write how it ended."""
        for directory in self._directories:
            for target in (entry["S3Output"] for entry in outputs_of(self._document)):
                if target["S3UploadMode"] == "EndOfJob":
                    upload_directory(
                        self._aws,
                        left_at(directory, target["LocalPath"]),
                        target["S3Uri"],
                        kms_key_id=self._kms_key_id,
                    )
        message = _exit_message(self._directories)

        def to_end(document: Document) -> None:
            if message:
                document["ExitMessage"] = message
            if document["ProcessingJobStatus"] == "Stopping":
                finish(PROCESSING_JOB, document, "Stopped")
            elif ended.full:
                finish(
                    PROCESSING_JOB, document, "Failed", volume_full(self._cluster["VolumeSizeInGB"])
                )
            elif ended.failed is not None:
                directory = self._directories[ended.failed]
                code = ended.exits[ended.failed].code
                finish(
                    PROCESSING_JOB,
                    document,
                    "Failed",
                    failure_reason(read_failure(directory), code),
                )
            elif ended.cause is Cause.STOPPED:
                finish(PROCESSING_JOB, document, "Stopped")
            elif ended.cause is Cause.TIMED_OUT:
                finish(
                    PROCESSING_JOB,
                    document,
                    "Stopped",
                    "ClientError: The job reached its MaxRuntimeInSeconds.",
                )
            else:
                finish(PROCESSING_JOB, document, "Completed")

        self._job.change(to_end)


def _begin(document: Document) -> None:
    document["ProcessingStartTime"] = datetime.now(UTC)


def _exit_message(directories: Sequence[Path]) -> str:
    content = b""
    for directory in directories:
        path = small_file(directory, "/opt/ml/output/message")
        if path is not None:
            with path.open("rb") as file:
                content += file.read(LONGEST_MESSAGE)
    content = content[:LONGEST_MESSAGE]
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        # A character cut in two by the limit is no fault of the job's.
        if error.start >= LONGEST_MESSAGE - 3:
            return content[: error.start].decode()
        raise BadExitMessage("/opt/ml/output/message is not UTF-8") from None


def _end(job: JobRecord, status: str, reason: str | None = None) -> None:
    job.change(lambda document: finish(PROCESSING_JOB, document, status, reason))
