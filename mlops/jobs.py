"""Start jobs and wait for them: request bodies, polling, and what a failed job leaves behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from mlops.errors import JobFailed, LogPlace
from mlops.session import Session

Progress = Callable[[str], None]

GLUE_LOGS = "/aws-glue/python-jobs/error"
PROCESSING_LOGS = "/aws/sagemaker/ProcessingJobs"
TRAINING_LOGS = "/aws/sagemaker/TrainingJobs"
CODE_PATH = "/opt/ml/processing/input/code"
TAIL_LINES = 20


def job_name(session: Session, step: str) -> str:
    """Unique per run, at most 63 characters, sorted by time."""
    now = time.time()
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
    return f"{session.settings.prefix}-{step}-{stamp}-{int(now * 1000) % 1000:03d}"


def processing_request(
    *,
    name: str,
    image: str,
    role: str,
    code: str,
    arguments: Sequence[str],
    inputs: Mapping[str, tuple[str, str]],
    outputs: Mapping[str, tuple[str, str]],
    session: Session,
    key_arn: str | None,
) -> dict[str, Any]:
    """A CreateProcessingJob body. `inputs` and `outputs` are (S3 URI, local path) by name."""
    settings = session.settings
    program = f"{CODE_PATH}/{code.rsplit('/', 1)[1]}"
    cluster: dict[str, Any] = {
        "InstanceCount": 1,
        "InstanceType": settings.processing_instance,
        "VolumeSizeInGB": settings.volume_gb,
    }
    application: dict[str, Any] = {
        "ImageUri": image,
        "ContainerEntrypoint": ["python3", program],
    }
    if arguments:
        application["ContainerArguments"] = list(arguments)
    output_config: dict[str, Any] = {
        "Outputs": [
            {
                "OutputName": output,
                "S3Output": {"S3Uri": uri, "LocalPath": path, "S3UploadMode": "EndOfJob"},
            }
            for output, (uri, path) in outputs.items()
        ]
    }
    if key_arn:
        cluster["VolumeKmsKeyId"] = output_config["KmsKeyId"] = key_arn
    return {
        "ProcessingJobName": name,
        "RoleArn": role,
        "AppSpecification": application,
        "ProcessingInputs": [
            {
                "InputName": source,
                "S3Input": {
                    "S3Uri": uri,
                    "LocalPath": path,
                    "S3DataType": "S3Prefix",
                    "S3InputMode": "File",
                    "S3DataDistributionType": "FullyReplicated",
                },
            }
            for source, (uri, path) in {"code": (code, CODE_PATH), **inputs}.items()
        ],
        "ProcessingOutputConfig": output_config,
        "ProcessingResources": {"ClusterConfig": cluster},
        "StoppingCondition": {"MaxRuntimeInSeconds": settings.job_timeout_minutes * 60},
        "Tags": tags(session),
    }


def training_request(
    *,
    name: str,
    image: str,
    role: str,
    code: str,
    dataset: str,
    output: str,
    hyperparameters: Mapping[str, str],
    metrics: Sequence[str],
    session: Session,
    key_arn: str | None,
) -> dict[str, Any]:
    """A CreateTrainingJob body in script mode: channels train and validation below `dataset`."""
    settings = session.settings
    output_config: dict[str, Any] = {"S3OutputPath": output}
    resources: dict[str, Any] = {
        "InstanceCount": 1,
        "InstanceType": settings.training_instance,
        "VolumeSizeInGB": settings.volume_gb,
    }
    if key_arn:
        output_config["KmsKeyId"] = resources["VolumeKmsKeyId"] = key_arn
    return {
        "TrainingJobName": name,
        "RoleArn": role,
        "AlgorithmSpecification": {
            "TrainingImage": image,
            "TrainingInputMode": "File",
            "MetricDefinitions": [
                {"Name": metric.replace("_", ":", 1), "Regex": rf"{metric}=([0-9\.]+);"}
                for metric in metrics
            ],
        },
        # The image's toolkit reads hyperparameters as JSON, its own ones included.
        "HyperParameters": {
            **hyperparameters,
            "sagemaker_program": '"main.py"',
            "sagemaker_submit_directory": f'"{code}"',
            "sagemaker_region": f'"{settings.region}"',
            "sagemaker_job_name": f'"{name}"',
            "sagemaker_container_log_level": "20",
        },
        "InputDataConfig": [
            {
                "ChannelName": channel,
                "ContentType": "text/csv",
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": f"{dataset}/{channel}/",
                        "S3DataDistributionType": "FullyReplicated",
                    }
                },
            }
            for channel in ("train", "validation")
        ],
        "OutputDataConfig": output_config,
        "ResourceConfig": resources,
        "StoppingCondition": {"MaxRuntimeInSeconds": settings.job_timeout_minutes * 60},
        "Tags": tags(session),
    }


def tags(session: Session) -> list[dict[str, str]]:
    """The platform's tags as the API wants them."""
    return [{"Key": key, "Value": value} for key, value in session.settings.tags.items()]


def run_processing(session: Session, request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Start a processing job and wait; the job's description. JobFailed unless it completed."""
    name = str(request["ProcessingJobName"])
    sagemaker = session.client("sagemaker")
    sagemaker.create_processing_job(**request)
    while True:
        job: dict[str, Any] = sagemaker.describe_processing_job(ProcessingJobName=name)
        status = job["ProcessingJobStatus"]
        progress(f"{status}  {name}")
        if status == "Completed":
            return job
        if status in ("Failed", "Stopped"):
            _fail(session, "processing-job", name, status, job, LogPlace(PROCESSING_LOGS, name))
        time.sleep(session.poll_seconds)


def run_training(session: Session, request: dict[str, Any], progress: Progress) -> dict[str, Any]:
    """Start a training job and wait; the job's description. JobFailed unless it completed."""
    name = str(request["TrainingJobName"])
    sagemaker = session.client("sagemaker")
    sagemaker.create_training_job(**request)
    while True:
        job: dict[str, Any] = sagemaker.describe_training_job(TrainingJobName=name)
        status = job["TrainingJobStatus"]
        progress(f"{job.get('SecondaryStatus', status)}  {name}")
        if status == "Completed":
            return job
        if status in ("Failed", "Stopped"):
            _fail(session, "training-job", name, status, job, LogPlace(TRAINING_LOGS, name))
        time.sleep(session.poll_seconds)


def run_glue(
    session: Session, job: str, arguments: Mapping[str, str], progress: Progress
) -> dict[str, Any]:
    """Start a Glue job and wait; the run. JobFailed unless it succeeded."""
    glue = session.client("glue")
    run_id = glue.start_job_run(JobName=job, Arguments=dict(arguments))["JobRunId"]
    while True:
        run: dict[str, Any] = glue.get_job_run(JobName=job, RunId=run_id)["JobRun"]
        state = run["JobRunState"]
        progress(f"{state}  {job}")
        if state == "SUCCEEDED":
            return run
        if state in ("FAILED", "ERROR", "STOPPED", "TIMEOUT", "EXPIRED"):
            place = LogPlace(GLUE_LOGS, run_id)
            raise JobFailed(
                f"Glue job {job}, run {run_id}, ended {state}",
                run.get("ErrorMessage") or "Glue gives no reason",
                log=place,
                sagestack_logs=session.sagestack_logs("glue-job-run", run_id),
                tail=last_lines(session, place),
            )
        time.sleep(session.poll_seconds)


def last_lines(session: Session, place: LogPlace, *, since: float = 0) -> list[str]:
    """The end of a log, all its streams together; nothing when there is none.

    `since` is in seconds since 1970 and leaves out what an earlier run wrote.
    """
    logs = session.client("logs")
    events: list[dict[str, Any]] = []
    try:
        streams = logs.describe_log_streams(
            logGroupName=place.group, logStreamNamePrefix=place.stream_prefix
        )["logStreams"]
        for stream in streams:
            events += logs.get_log_events(
                logGroupName=place.group,
                logStreamName=stream["logStreamName"],
                startTime=int(since * 1000),
                limit=TAIL_LINES,
            )["events"]
    except ClientError:
        return []
    events.sort(key=lambda event: int(event["timestamp"]))
    return [str(event["message"]).rstrip() for event in events[-TAIL_LINES:]]


def _fail(
    session: Session, kind: str, name: str, status: str, job: dict[str, Any], place: LogPlace
) -> None:
    raise JobFailed(
        f"{kind.replace('-', ' ')} {name} ended {status}",
        job.get("FailureReason") or job.get("ExitMessage") or "SageMaker gives no reason",
        log=place,
        sagestack_logs=session.sagestack_logs(kind, name),
        tail=last_lines(session, place),
    )
