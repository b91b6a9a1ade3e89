"""Glue as the emulator's tests call it, and a world in which its jobs run."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sagestack.aws.errors import AwsError
from sagestack.aws.store import Store
from sagestack.boto_host import BotoHost
from sagestack.context import Context, Instance
from sagestack.engine.executor import Executor
from sagestack.engine.images import Image, Images
from tests.emulator.jobs import ACCOUNT, REGION
from tests.waiting import wait_until

ROLE = f"arn:aws:iam::{ACCOUNT}:role/etl"
ENDED = ("SUCCEEDED", "FAILED", "TIMEOUT", "STOPPED")

Call = Callable[..., dict[str, Any]]


def client(context: Context) -> Call:
    """Call Glue as a client does: `glue("GetTable", Name=...)`."""
    return lambda operation, **request: context.call("glue", operation, request)


def error_of(call: Callable[..., object], *args: object, **kwargs: object) -> AwsError:
    """The error that a call answers with."""
    with pytest.raises(AwsError) as raised:
        call(*args, **kwargs)
    return raised.value


@dataclass
class World:
    """A client's view of an instance, with a bucket to put scripts in."""

    instance: Instance
    context: Context

    def __call__(self, operation: str, **request):
        return client(self.context)(operation, **request)

    def client(self, service: str):
        return self.instance.host.session(ACCOUNT, REGION).client(service)

    def put(self, key: str, body: str | bytes) -> str:
        self.client("s3").put_object(Bucket="scripts", Key=key, Body=body)
        return f"s3://scripts/{key}"

    def job(self, script: str, **members) -> None:
        """Define the job `etl`, of this script."""
        location = self.put("etl.py", textwrap.dedent(script))
        command = {"Name": "pythonshell", "ScriptLocation": location, "PythonVersion": "3.9"}
        self("CreateJob", **{"Name": "etl", "Role": ROLE, "Command": command} | members)

    def start(self, **request) -> str:
        return self("StartJobRun", JobName="etl", **request)["JobRunId"]

    def read(self, run_id: str) -> dict:
        return self("GetJobRun", JobName="etl", RunId=run_id)["JobRun"]

    def wait(self, run_id: str, *states: str) -> dict:
        def run_in_state() -> dict | None:
            run = self.read(run_id)
            return run if run["JobRunState"] in (states or ENDED) else None

        return wait_until(run_in_state, what=f"{run_id} in {states or ENDED}")

    def run(self, script: str, arguments: dict | None = None, **members) -> dict:
        self.job(script, **members)
        return self.wait(self.start(Arguments=arguments or {}))

    def log(self, run_id: str, kind: str, group: str = "/aws-glue/python-jobs") -> list[str]:
        logs = self.client("logs")
        try:
            events = logs.get_log_events(
                logGroupName=f"{group}/{kind}", logStreamName=run_id, startFromHead=True
            )
        except logs.exceptions.ResourceNotFoundException:
            return []
        return [event["message"] for event in events["events"]]


@contextmanager
def job_world(directory: Path, preload: tuple[str, ...] = ()) -> Iterator[World]:
    """A world whose glue-shell image is the interpreter that runs the tests. With modules to
    preload there is an idle process that has imported them, for runs to be forked from."""
    image = Image("glue-shell", ("glue-shell",), Path(sys.executable), preload)
    images = Images(directory / "images", [image], warm=bool(preload))
    store = Store(directory / "records.sqlite")
    instance = Instance(directory, store, BotoHost(None), images, Executor(2))
    world = World(instance, instance.context(ACCOUNT, REGION))
    world.client("s3").create_bucket(Bucket="scripts")
    if preload:
        worker = images.environment(image).worker
        wait_until(lambda: worker.ready, what="the idle process")
    yield world
    # Before moto leaves: what still ran would ask the real AWS.
    assert instance.executor.close(20), "job runs outlived the test"
    images.close()
