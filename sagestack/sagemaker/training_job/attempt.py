"""One attempt at a training job: bring the inputs, run the hosts, save the checkpoints.

A job has one, or more where spot capacity is taken away or our own fault is retried.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sagestack.aws.document import Document
from sagestack.engine.checkpoints import restore
from sagestack.engine.cluster import ClusterExit, host_addresses, run_cluster
from sagestack.engine.container import Container
from sagestack.engine.continuous import ContinuousUpload
from sagestack.engine.executor import Control
from sagestack.engine.fast_file import Mount
from sagestack.engine.inputs import Inputs
from sagestack.engine.instance_types import GIB, limits_of
from sagestack.engine.metrics import MetricCollector, MetricDefinition
from sagestack.engine.output import OnLine
from sagestack.engine.workspace import Workspace, inside
from sagestack.sagemaker.job_record import JobRecord
from sagestack.sagemaker.job_run import JobLog, as_logged, container_command, role_variables
from sagestack.sagemaker.training_job.inputs import input_channels
from sagestack.sagemaker.training_job.layout import (
    CHECKPOINTS,
    Host,
    hosts_of,
    lay_out,
    volume_size,
)
from sagestack.sagemaker.training_job.script_mode import bring_code

LOG_GROUP = "/aws/sagemaker/TrainingJobs"

Advance = Callable[..., None]
"""Write a secondary status and its message."""


@dataclass(frozen=True)
class Ended:
    """What an attempt came to."""

    cluster: ClusterExit
    directories: tuple[Path, ...]
    """/opt/ml of each host."""
    input_error: Exception | None
    """What kept a pipe from being fed."""
    logs: tuple[JobLog, ...]
    """Their last lines are on their way; the job's end waits for them."""

    def wait_for_logs(self) -> None:
        for log in self.logs:
            log.close()


class Attempt:
    def __init__(self, job: JobRecord, workspace: Workspace, metrics: MetricCollector) -> None:
        self._job = job
        self._aws = job.context.aws
        self._document = job.read().document
        self._hosts = hosts_of(self._document)
        self._directories = tuple(workspace.host(host.name) for host in self._hosts)
        self._addresses = host_addresses([host.name for host in self._hosts])
        self._metrics = metrics
        self._logs: list[JobLog] = []

    def carry_out(self, control: Control, advance: Advance, max_seconds: float) -> Ended | None:
        """None where a stop came before the program was started. Raises InputMissing,
        NoSuchBucket, ImageBuildError, SandboxError."""
        with ExitStack() as stack:
            mounts = self._prepare(stack, control, advance)
            advance("Training", "Downloading the training image", begins=True)
            containers = [
                self._container(*each)
                for each in zip(self._hosts, self._directories, mounts, strict=True)
            ]
            if control.stop_requested:
                return None
            advance("Training", "Training image download completed. Training in progress.")
            on_lines = [self._on_line(stack, host) for host in self._hosts]
            stack.enter_context(self._checkpoints())
            cluster = run_cluster(
                containers,
                control,
                on_lines,
                max_seconds=max_seconds,
                grace=self._job.context.instance.stop_seconds,
                volume=volume_size(self._document) * GIB,
            )
            return Ended(cluster, self._directories, self._inputs.error(), tuple(self._logs))

    def _prepare(
        self, stack: ExitStack, control: Control, advance: Advance
    ) -> list[tuple[Mount, ...]]:
        for host, directory in zip(self._hosts, self._directories, strict=True):
            lay_out(directory, self._document, host, self._hosts)
            bring_code(self._aws, self._document, directory)
        if self._document.get("InputDataConfig"):
            advance("Downloading", "Downloading input data")
        channels = input_channels(self._document, self._hosts)
        names = [host.name for host in self._hosts]
        self._inputs = Inputs(self._aws, channels, names, lambda: control.stop_requested)
        stack.callback(self._inputs.close)
        if checkpoint := self._document.get("CheckpointConfig"):
            for directory in self._directories:
                restore(
                    self._aws, checkpoint["S3Uri"], inside(directory, checkpoint_path(checkpoint))
                )
        return [
            self._inputs.bring(host.name, directory)
            for host, directory in zip(self._hosts, self._directories, strict=True)
        ]

    def _container(self, host: Host, directory: Path, mounts: tuple[Mount, ...]) -> Container:
        instance, document = self._job.context.instance, self._document
        algorithm = document["AlgorithmSpecification"]
        isolated = document["EnableNetworkIsolation"]
        environment = instance.images.environment(instance.images.find(algorithm["TrainingImage"]))
        names = [host.name, *(other.name for other in self._hosts if other != host)]
        return Container(
            environment=environment,
            command=container_command(
                environment,
                "train",
                algorithm.get("ContainerEntrypoint"),
                algorithm.get("ContainerArguments"),
            ),
            variables={
                "TRAINING_JOB_NAME": document["TrainingJobName"],
                "TRAINING_JOB_ARN": self._job.arn,
                **role_variables(self._aws, document["RoleArn"], isolated=isolated),
                **document.get("Environment", {}),
            },
            directory=directory,
            host_names=tuple(names),
            addresses=self._addresses,
            threads=instance.executor.thread_share(),
            mounts=mounts,
            limits=limits_of(host.instance_type),
            isolate_network=isolated,
        )

    @contextlib.contextmanager
    def _checkpoints(self) -> Iterator[None]:
        """Keep S3 up to date while the program runs, and at its end."""
        with ExitStack() as syncs:
            if checkpoint := self._document.get("CheckpointConfig"):
                path = checkpoint_path(checkpoint)
                for directory in self._directories:
                    sync = ContinuousUpload(self._aws, directory, path, checkpoint["S3Uri"])
                    syncs.callback(sync.close)
            yield

    def _on_line(self, stack: ExitStack, host: Host) -> OnLine:
        log = JobLog(self._aws, LOG_GROUP, self._document["TrainingJobName"], host.name)
        stack.push(partial(_end_log, log))
        self._logs.append(log)

        def on_line(line: str) -> None:
            logged = as_logged(line)
            log.write(logged)
            self._metrics.read(logged)

        return on_line


def _end_log(log: JobLog, fault: type[BaseException] | None, *_: object) -> None:
    """Nobody else waits for the log of an attempt that a fault ends."""
    if fault is None:
        log.end()
    else:
        log.close()


def checkpoint_path(checkpoint: dict[str, Any]) -> str:
    """CheckpointConfig's LocalPath."""
    path: str = checkpoint.get("LocalPath", CHECKPOINTS).rstrip("/")
    return path


def metrics_of(job: JobRecord, document: Document) -> MetricCollector:
    definitions = [
        MetricDefinition.of(definition["Name"], definition["Regex"])
        for definition in document["AlgorithmSpecification"].get("MetricDefinitions", ())
    ]
    return MetricCollector(
        definitions,
        job.context.aws,
        LOG_GROUP,
        {"TrainingJobName": document["TrainingJobName"]},
        partial(job.context.instance.metric_feed.tell, job.arn),
    )
