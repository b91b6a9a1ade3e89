"""A transform job, carried out: servers up, objects through, answers to S3, on a thread of
the executor's.

The outputs are stored together at the end: a job that is stopped before stores none, one in
which objects failed stores those of the others. Source: StopTransformJob; contract,
section 4.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

from sagestack.aws.document import Document
from sagestack.engine.channels import (
    Item,
    in_parallel,
    items_of_manifest,
    items_of_prefix,
)
from sagestack.engine.executor import Control
from sagestack.engine.host import NoSuchBucket
from sagestack.engine.images import UnknownImage
from sagestack.engine.s3_uri import parse_s3_uri
from sagestack.engine.workspace import Workspace
from sagestack.sagemaker.job_operations import finish
from sagestack.sagemaker.job_record import TRANSFORM_JOB, JobRecord
from sagestack.sagemaker.job_run import INTERNAL_ERROR, known_reason
from sagestack.sagemaker.model import container_of
from sagestack.sagemaker.model_container import IsolationUnsupported, server_plan
from sagestack.sagemaker.transform_job.capture import write_manifests
from sagestack.sagemaker.transform_job.instance import TransformInstance, batch_variables
from sagestack.sagemaker.transform_job.objects import InputObject, Transformation
from sagestack.sagemaker.transform_job.requests import Failure
from sagestack.serving.artifact import ArtifactMissing
from sagestack.serving.fleet import in_parallel as side_by_side
from sagestack.serving.server import ServerFailed, ServerPlan, ServerStopped

LOG = logging.getLogger(__name__)
NO_PING = (
    "AlgorithmError: Model container failed to respond to ping. Please ensure /ping endpoint is "
    "implemented and responds with an HTTP 200 status code"
)
PING_SECONDS = 1800.0
"""For so long a server may load its model. Source: AWS, on issue 815 of
amazon-sagemaker-examples."""

GRACE_SECONDS = 5.0
"""At most, between SIGTERM and SIGKILL of a server."""


def run_transform_job(job: JobRecord, control: Control, *, model: Document) -> None:
    """Raises nothing: whatever happens ends in the record."""
    try:
        if job.read().status == "Stopping":
            control.stop()  # asked for before the executor knew the job
        if control.stop_requested:
            return _end(job, "Stopped")
        workspace = Workspace.create(job.context.instance.directory / "jobs", job.arn)
        try:
            _TransformRun(job, model, workspace).carry_out(control)
        finally:
            workspace.remove()
    except ServerStopped:
        _end(job, "Stopped")
    except ServerFailed:
        if control.stop_requested:
            return _end(job, "Stopped")
        _end(job, "Failed", NO_PING)
    except Exception as error:
        reason = known_reason(error, ArtifactMissing, UnknownImage, IsolationUnsupported)
        if reason is None:
            LOG.exception("%s", job.arn)
        _end(job, "Failed", reason or INTERNAL_ERROR)


class _TransformRun:
    def __init__(self, job: JobRecord, model: Document, workspace: Workspace) -> None:
        self._job, self._model, self._workspace = job, model, workspace
        self._aws = job.context.aws
        self._document = job.read().document
        self._output_bucket, prefix = parse_s3_uri(
            self._document["TransformOutput"]["S3OutputPath"]
        )
        self._output_prefix = f"{prefix.rstrip('/')}/" if prefix.rstrip("/") else ""

    def carry_out(self, control: Control) -> None:
        objects = self._objects()
        if not self._aws.bucket_exists(self._output_bucket):
            raise NoSuchBucket(self._output_bucket)
        plan = self._server_plan()
        start = datetime.now(UTC)
        self._job.change(partial(_begin, start=start))
        failures = self._transform(plan, objects, start, control)
        if control.stop_requested:
            return _end(self._job, "Stopped")
        done = [obj for obj in objects if obj not in failures]
        in_parallel(self._upload, done)
        if "DataCaptureConfig" in self._document and done:
            scratch = self._workspace.directory / "manifest"
            write_manifests(self._aws, self._document, done, start, scratch)
        first = next((failures[obj] for obj in objects if obj in failures), None)
        if first is None:
            return _end(self._job, "Completed")
        _end(self._job, "Failed", f"{first.blame}: See job logs for more information")

    def _objects(self) -> list[InputObject]:
        """Raises InputMissing."""
        source = self._document["TransformInput"]["DataSource"]["S3DataSource"]
        manifest = source["S3DataType"] == "ManifestFile"
        items: Sequence[Item] = (items_of_manifest if manifest else items_of_prefix)(
            self._aws, source["S3Uri"]
        )
        directory = self._workspace.directory
        return [
            InputObject(item, directory / f"in-{number}", directory / f"out-{number}")
            for number, item in enumerate(items)
        ]

    def _server_plan(self) -> ServerPlan:
        return server_plan(
            self._job.context,
            container_of(self._model),
            self._workspace.directory / "kept",
            role_arn=self._model.get("ExecutionRoleArn"),
            isolated=self._model["EnableNetworkIsolation"],
            startup_seconds=PING_SECONDS,
            variables=self._document.get("Environment", {}) | batch_variables(self._document),
        )

    def _transform(
        self, plan: ServerPlan, objects: list[InputObject], start: datetime, control: Control
    ) -> dict[InputObject, Failure]:
        """Objects that failed. Raises ServerFailed, ServerStopped, ArtifactMissing."""
        grace = min(GRACE_SECONDS, self._job.context.instance.stop_seconds)
        count = self._document["TransformResources"]["InstanceCount"]
        instances = [
            TransformInstance(plan, self._workspace.directory, self._aws, self._document)
            for _ in range(count)
        ]
        transformation = Transformation(self._aws, self._document, start)
        failures: dict[InputObject, Failure] = {}

        def transform(index: int) -> None:
            share = objects[index::count]
            failures.update(instances[index].transform(share, transformation, control))

        def stop() -> None:
            side_by_side([partial(instance.stop, grace) for instance in instances])

        # The one who asks for the stop does not wait for the servers' end.
        control.on_stop(lambda: threading.Thread(target=stop, daemon=True).start())
        try:
            side_by_side([instance.start for instance in instances], on_error=stop)
            side_by_side([partial(transform, index) for index in range(count)], on_error=stop)
        finally:
            stop()
            for instance in instances:
                instance.close()
        return failures

    def _upload(self, obj: InputObject) -> None:
        self._aws.upload(
            obj.answers,
            self._output_bucket,
            f"{self._output_prefix}{obj.out}",
            kms_key_id=self._document["TransformOutput"].get("KmsKeyId"),
        )


def _begin(document: Document, start: datetime) -> None:
    document["TransformStartTime"] = start


def _end(job: JobRecord, status: str, reason: str | None = None) -> None:
    job.change(lambda document: finish(TRANSFORM_JOB, document, status, reason))
