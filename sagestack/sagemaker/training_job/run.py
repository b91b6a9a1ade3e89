"""A training job, carried out: download, run, upload, on a thread of the executor's.

Each step writes its status before it begins, the last one writes the end. Source of the
texts: contract, sections 1.6 and 1.7.
"""

from __future__ import annotations

import json
import logging
import re
from functools import partial
from pathlib import Path
from typing import Any

from sagestack.aws.store import Document
from sagestack.engine.archive import is_empty, pack
from sagestack.engine.channels import InputMissing, download_prefix, upload_directory
from sagestack.engine.container import Cause, Container, Exit, run
from sagestack.engine.executor import Control
from sagestack.engine.host import NoSuchBucket
from sagestack.engine.images import ImageBuildError
from sagestack.engine.metrics import MetricCollector, MetricDefinition
from sagestack.engine.s3_uri import join_s3_uri, parse_s3_uri
from sagestack.engine.workspace import Workspace
from sagestack.sagemaker.job_record import JobRecord
from sagestack.sagemaker.job_run import JobLog, container_command, failure_reason, read_failure
from sagestack.sagemaker.training_job.status import end, fail, start_transition

LOG = logging.getLogger(__name__)
HOST = "algo-1"
INTERNAL_ERROR = "InternalServerError: We encountered an internal error. Please try again."


def run_training_job(job: JobRecord, control: Control) -> None:
    """Raises nothing: whatever happens ends in the record."""
    workspace = Workspace.create(job.context.instance.directory / "jobs", job.arn)
    try:
        if job.read().status == "Stopping":
            control.stop()  # asked for before the executor knew the job
        if control.stop_requested:
            return _end_stopped(job)
        _carry_out(job, control, workspace)
    except InputMissing as error:
        job.change(partial(fail, reason=f"ClientError: {error}"))
    except NoSuchBucket as error:
        job.change(partial(fail, reason=f"ClientError: S3 bucket does not exist: {error}"))
    except ImageBuildError as error:
        job.change(partial(fail, reason=f"ClientError: The image could not be built: {error}"))
    except Exception:
        LOG.exception("%s", job.arn)
        job.change(partial(fail, reason=INTERNAL_ERROR))
    finally:
        workspace.remove()


def _carry_out(job: JobRecord, control: Control, workspace: Workspace) -> None:
    document = job.read().document
    directory = workspace.host(HOST)
    _lay_out(directory, document)
    if document.get("InputDataConfig"):
        _advance(job, "Downloading", "Downloading input data")
        _download(job, document, directory)
    _advance(job, "Training", "Downloading the training image", begins=True)
    container = _container(job, document, directory)
    if control.stop_requested:
        return _end_stopped(job)
    _advance(job, "Training", "Training image download completed. Training in progress.")
    metrics = _metrics(job, document)
    log = JobLog(job.context.aws, "/aws/sagemaker/TrainingJobs", document["TrainingJobName"], HOST)

    def on_line(line: str) -> None:
        log.write(line)
        metrics.read(line)

    try:
        ended = run(
            container,
            control,
            on_line,
            max_seconds=document["StoppingCondition"]["MaxRuntimeInSeconds"],
            grace=job.context.instance.stop_seconds,
        )
    finally:
        log.close()
        metrics.publish()
    _finish(job, document, directory, ended, metrics)


def _lay_out(directory: Path, document: Document) -> None:
    """The directories and files the platform writes. Source: contract, section 1.2."""
    for name in ("input/config", "input/data", "model", "output/data", "code", "checkpoints"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    instance_type = document["ResourceConfig"]["InstanceType"]
    files = {
        "hyperparameters": document.get("HyperParameters", {}),
        "inputdataconfig": {
            channel["ChannelName"]: _channel_config(channel)
            for channel in document.get("InputDataConfig", ())
        },
        "resourceconfig": {
            "current_host": HOST,
            "current_instance_type": instance_type,
            "current_group_name": "homogeneousCluster",
            "hosts": [HOST],
            "instance_groups": [
                {
                    "instance_group_name": "homogeneousCluster",
                    "instance_type": instance_type,
                    "hosts": [HOST],
                }
            ],
            "network_interface_name": "lo",
        },
    }
    for name, content in files.items():
        (directory / "input/config" / f"{name}.json").write_text(json.dumps(content))


def _channel_config(channel: dict[str, Any]) -> dict[str, str]:
    config = {
        "TrainingInputMode": "File",
        "S3DistributionType": channel["DataSource"]["S3DataSource"].get(
            "S3DataDistributionType", "FullyReplicated"
        ),
        "RecordWrapperType": "None",
    }
    if content_type := channel.get("ContentType"):
        config["ContentType"] = content_type
    return config


def _download(job: JobRecord, document: Document, directory: Path) -> None:
    for channel in document["InputDataConfig"]:
        uri = channel["DataSource"]["S3DataSource"]["S3Uri"]
        download_prefix(job.context.aws, uri, directory / "input/data" / channel["ChannelName"])


def _container(job: JobRecord, document: Document, directory: Path) -> Container:
    images = job.context.instance.images
    algorithm = document["AlgorithmSpecification"]
    environment = images.environment(images.find(algorithm["TrainingImage"]))
    name = document["TrainingJobName"]
    return Container(
        environment=environment,
        command=container_command(
            environment,
            "train",
            algorithm.get("ContainerEntrypoint"),
            algorithm.get("ContainerArguments"),
        ),
        variables={
            "TRAINING_JOB_NAME": name,
            "TRAINING_JOB_ARN": job.arn,
            **job.context.aws.role_environment(document["RoleArn"], "SageMaker"),
            **document.get("Environment", {}),
        },
        directory=directory,
        host_names=(HOST,),
        threads=job.context.instance.executor.thread_share(),
        isolate_network=document["EnableNetworkIsolation"],
    )


def _metrics(job: JobRecord, document: Document) -> MetricCollector:
    definitions = [
        MetricDefinition(definition["Name"], re.compile(definition["Regex"]))
        for definition in document["AlgorithmSpecification"].get("MetricDefinitions", ())
    ]
    return MetricCollector(
        definitions,
        job.context.aws,
        "/aws/sagemaker/TrainingJobs",
        {"TrainingJobName": document["TrainingJobName"]},
    )


def _finish(
    job: JobRecord, document: Document, directory: Path, ended: Exit, metrics: MetricCollector
) -> None:
    """Upload what the job made and write how it ended."""
    failed = ended.cause is Cause.EXITED and ended.code != 0
    final = [
        {"MetricName": value.name, "Value": value.value, "Timestamp": value.timestamp}
        for value in metrics.final_values()
    ]

    def keep_metrics(document: Document) -> None:
        if final:
            document["FinalMetricDataList"] = final

    if failed:
        _upload_output_data(job, document, directory)
        reason = failure_reason(read_failure(directory), ended.code)

        def to_failed(document: Document) -> None:
            keep_metrics(document)
            fail(document, reason)

        job.change(to_failed)
        return
    if ended.cause is Cause.EXITED:
        _advance(job, "Uploading", "Uploading generated training model")
    model_uri = _upload_model(job, document, directory)
    _upload_output_data(job, document, directory)

    def to_end(document: Document) -> None:
        keep_metrics(document)
        if model_uri:
            document["ModelArtifacts"] = {"S3ModelArtifacts": model_uri}
        _write_end(document, ended.cause)

    job.change(to_end)


def _write_end(document: Document, cause: Cause) -> None:
    if document["TrainingJobStatus"] == "Stopping" or cause is Cause.STOPPED:
        end(document, "Stopped", "Stopped", "Training job stopped")
    elif cause is Cause.TIMED_OUT:
        end(document, "Stopped", "MaxRuntimeExceeded", "Training job runtime exceeded")
    else:
        end(document, "Completed", "Completed", "Training job completed")


def _upload_model(job: JobRecord, document: Document, directory: Path) -> str | None:
    """The model's URI; None where a stopped job has made none."""
    output = document["OutputDataConfig"]
    base = join_s3_uri(output["S3OutputPath"], document["TrainingJobName"], "output")
    if output.get("CompressionType", "GZIP") == "NONE":
        uri = f"{base}/model/"
        upload_directory(
            job.context.aws, directory / "model", uri, kms_key_id=output.get("KmsKeyId")
        )
        return uri
    return _upload_archive(job, directory / "model", f"{base}/model.tar.gz", output)


def _upload_output_data(job: JobRecord, document: Document, directory: Path) -> None:
    output = document["OutputDataConfig"]
    data = directory / "output/data"
    if not is_empty(data):
        base = join_s3_uri(output["S3OutputPath"], document["TrainingJobName"], "output")
        _upload_archive(job, data, f"{base}/output.tar.gz", output)


def _upload_archive(job: JobRecord, directory: Path, uri: str, output: dict[str, Any]) -> str:
    archive = directory.parent / f"{directory.name}.tar.gz"
    pack(directory, archive)
    job.context.aws.upload(archive, *parse_s3_uri(uri), kms_key_id=output.get("KmsKeyId"))
    archive.unlink()
    return uri


def _advance(job: JobRecord, status: str, message: str, *, begins: bool = False) -> None:
    def edit(document: Document) -> None:
        if document["TrainingJobStatus"] != "InProgress":
            return
        start_transition(document, status, message)
        if begins:
            document["TrainingStartTime"] = document["SecondaryStatusTransitions"][-1]["StartTime"]

    job.change(edit)


def _end_stopped(job: JobRecord) -> None:
    job.change(lambda document: _write_end(document, Cause.STOPPED))
