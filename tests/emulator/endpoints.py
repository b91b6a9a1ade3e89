"""Endpoints in few words: a model made of a script, served, asked, looked into."""

from __future__ import annotations

import io
import itertools
import json
import tarfile
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from sagestack.aws.errors import AwsError
from sagestack.context import Context
from sagestack.serving.route import Variant
from tests.emulator.jobs import BUCKET, IMAGE, ROLE
from tests.waiting import wait_until

Members = dict[str, Any]
BUSY = ("Creating", "Updating", "SystemUpdating", "Deleting")


def constant(value: Any) -> str:
    """A script whose every answer is `value`."""
    return f"""
def model_fn(model_dir): return {value!r}
def predict_fn(data, model): return [model]
"""


BROKEN = "def model_fn(model_dir): raise ValueError('this model is broken')"
ECHO = """
import os
def model_fn(model_dir): return None
def transform_fn(model, body, content_type, accept): return body, content_type
"""
WAITS = """
import os, pathlib, time
def model_fn(model_dir): return pathlib.Path(model_dir).parent / "go-on"
def transform_fn(go_on, body, content_type, accept):
    while body == "[1]" and not go_on.exists():
        time.sleep(0.01)
    return body, content_type
"""
"""Answers `[1]` when there is a file go-on in the server's directory, all else at once."""


def archive(files: dict[str, bytes | Path]) -> bytes:
    """A .tar.gz of names and contents."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            data = content.read_bytes() if isinstance(content, Path) else content
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


class Endpoints:
    numbers = itertools.count(1)

    def __init__(self, context: Context) -> None:
        self.context = context
        session: Any = context.aws
        self.s3, self.logs = session.client("s3"), session.client("logs")
        self.cloudwatch = session.client("cloudwatch")
        if BUCKET not in {bucket["Name"] for bucket in self.s3.list_buckets()["Buckets"]}:
            self.s3.create_bucket(Bucket=BUCKET)

    def call(self, operation: str, **request: Any) -> Members:
        return self.context.call("sagemaker", operation, request)

    def put_archive(self, script: str, **files: bytes | Path) -> str:
        """A model.tar.gz with the script in it; its URI."""
        key = f"models/{next(self.numbers)}/model.tar.gz"
        code = {"code/inference.py": dedent(script).encode()}
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=archive({**code, **files}))
        return f"s3://{BUCKET}/{key}"

    def model(self, script: str = "", *, container: Members | None = None, **members: Any) -> str:
        name = f"model-{next(self.numbers)}"
        definition: Members = {"Image": IMAGE}
        if container is None or not {"ModelDataUrl", "ModelDataSource"} & set(container):
            definition["ModelDataUrl"] = self.put_archive(script)
        self.call(
            "CreateModel",
            **{
                "ModelName": name,
                "ExecutionRoleArn": ROLE,
                "PrimaryContainer": definition | (container or {}),
                **members,
            },
        )
        return name

    def variant(self, script_or_model: str, **members: Any) -> Members:
        """Members of None are left out."""
        model = script_or_model if "\n" not in script_or_model else self.model(script_or_model)
        variant = {
            "VariantName": "AllTraffic",
            "ModelName": model,
            "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
            **members,
        }
        return {name: value for name, value in variant.items() if value is not None}

    def config(self, *variants: Members, **members: Any) -> str:
        name = f"config-{next(self.numbers)}"
        request = {"EndpointConfigName": name, "ProductionVariants": list(variants), **members}
        self.call("CreateEndpointConfig", **request)
        return name

    def create(self, config: str, **members: Any) -> str:
        name = f"endpoint-{next(self.numbers)}"
        request = {"EndpointName": name, "EndpointConfigName": config, **members}
        self.call("CreateEndpoint", **request)
        return name

    def serve(self, script: str, **members: Any) -> str:
        """An endpoint in service, with one variant; `members` are the variant's."""
        name = self.create(self.config(self.variant(script, **members)))
        assert self.settled(name)["EndpointStatus"] == "InService", self.why(name)
        return name

    def describe(self, name: str) -> Members:
        return self.call("DescribeEndpoint", EndpointName=name)

    def settled(self, name: str) -> Members:
        """Wait until nothing is being done to the endpoint; what Describe says then."""

        def idle() -> Members | None:
            endpoint = self.describe(name)
            return None if endpoint["EndpointStatus"] in BUSY else endpoint

        return wait_until(idle, 30, f"{name} is idle")

    def delete(self, name: str) -> None:
        """Delete and wait until it is gone."""
        self.call("DeleteEndpoint", EndpointName=name)
        wait_until(lambda: not self.exists(name), 40, f"{name} is gone")

    def exists(self, name: str) -> bool:
        try:
            self.describe(name)
        except AwsError:
            return False
        return True

    def invoke(self, name: str, body: Any = b"[0]", **members: Any) -> Members:
        request = {
            "EndpointName": name,
            "Body": body,
            "ContentType": "application/json",
            **members,
        }
        return self.context.call("sagemaker-runtime", "InvokeEndpoint", request)

    def answer(self, name: str, **members: Any) -> Any:
        return json.loads(self.invoke(name, **members)["Body"])

    def variants(self, name: str) -> list[Variant]:
        """What answers for the endpoint now."""
        context = self.context
        route = context.instance.servers.route(context.caller.account, context.caller.region, name)
        assert route is not None
        return list(route.variants)

    def log(self, name: str) -> list[str]:
        """All lines of all servers."""
        group = f"/aws/sagemaker/Endpoints/{name}"
        events = self.logs.filter_log_events(logGroupName=group)["events"]
        return [event["message"] for event in events]

    def why(self, name: str) -> Any:
        return self.describe(name).get("FailureReason"), self.log(name)


def refused(call: Any, *arguments: Any, **members: Any) -> AwsError:
    """The error of a call that must not go through."""
    with pytest.raises(AwsError) as error:
        call(*arguments, **members)
    return error.value
