"""Transform jobs in few words: a model made of a script, objects in, objects out."""

from __future__ import annotations

from typing import Any

from sagestack.context import Context
from tests.emulator.endpoints import Endpoints
from tests.emulator.jobs import BUCKET, Jobs, Members

ECHO = """
def model_fn(model_dir): return None
def transform_fn(model, body, content_type, accept):
    return (body if isinstance(body, bytes) else body.encode()), accept or content_type
"""
COUNTS = """
import json
def model_fn(model_dir): return None
def input_fn(body, content_type): return body if isinstance(body, str) else body.decode()
def predict_fn(text, model): return text
def output_fn(text, accept): return json.dumps(text), accept
"""
"""Answers each request with what it was, as one JSON string."""
SUMS = """
def model_fn(model_dir): return None
def transform_fn(model, body, content_type, accept):
    rows = [line.split(",") for line in body.splitlines()]
    return "\\n".join(str(sum(int(cell) for cell in row)) for row in rows), accept
"""
"""Answers each CSV row with its sum; a cell that is no number is an error."""
VARIABLES = """
import json, os
def model_fn(model_dir): return None
def transform_fn(model, body, content_type, accept):
    return json.dumps(dict(os.environ)), "application/json"
"""
PARAMETERS = """
def execution_parameters_fn():
    return {"MaxConcurrentTransforms": 2, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 3}
"""


class TransformJobs(Jobs):
    kind = "Transform"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.endpoints = Endpoints(context)
        self._models: dict[str, str] = {}

    def model(self, script: str) -> str:
        """The model of a script, made once."""
        if script not in self._models:
            self._models[script] = self.endpoints.model(script)
        return self._models[script]

    def request(self, script: str, **members: Any) -> Members:
        """Over all objects below `in/`. `source` and `target` are members of TransformInput
        and TransformOutput; `uri` and `data_type` name other objects."""
        name = members.get("TransformJobName") or self.new_name()
        data = {
            "S3DataType": members.pop("data_type", "S3Prefix"),
            "S3Uri": members.pop("uri", f"s3://{BUCKET}/in/"),
        }
        request: Members = {
            "TransformJobName": name,
            "ModelName": members.pop("model", None) or self.model(script),
            "TransformInput": {
                "DataSource": {"S3DataSource": data},
                **members.pop("source", {}),
            },
            "TransformOutput": {
                "S3OutputPath": f"s3://{BUCKET}/out/{name}",
                **members.pop("target", {}),
            },
            "TransformResources": {
                "InstanceType": "ml.m5.large",
                "InstanceCount": members.pop("instances", 1),
            },
        }
        return request | members

    def outputs(self, job: Members) -> dict[str, str]:
        """Keys below S3OutputPath, and what the objects hold."""
        prefix = f"out/{job['TransformJobName']}/"
        return {key.removeprefix(prefix): self.get(key).decode() for key in self.keys(prefix)}

    def transformed(self, script: str, **members: Any) -> dict[str, str]:
        """The outputs of a job that must complete."""
        job = self.run(script, **members)
        why = (job.get("FailureReason"), self.log(job["TransformJobName"]))
        assert job["TransformJobStatus"] == "Completed", why
        return self.outputs(job)

    def output(self, content: str | bytes, script: str, **members: Any) -> str:
        """What one object becomes."""
        self.put("in/data", content)
        return self.transformed(script, **members)["data.out"]

    def failed(self, content: str | bytes, script: str, **members: Any) -> tuple[str, list[str]]:
        """How a job over one object fails: its FailureReason, and the lines about it."""
        self.put("in/data", content)
        job = self.run(script, **members)
        assert (job["TransformJobStatus"], self.outputs(job)) == ("Failed", {})
        return job["FailureReason"], self.told(job, "lake/in/data: ")

    def told(self, job: Members, of: str = "") -> list[str]:
        """The lines of the data log, without their times; those about an object."""
        mark = ":[sagemaker logs]: "
        lines = [
            line.split(mark, 1)[1] for line in self.log(job["TransformJobName"]) if mark in line
        ]
        return [line.removeprefix(of) for line in lines if line.startswith(of)]


CSV_LINES: Members = {
    "source": {"ContentType": "text/csv", "SplitType": "Line"},
    "target": {"Accept": "text/csv", "AssembleWith": "Line"},
}
JSON_LINES: Members = {
    "source": {"ContentType": "application/jsonlines", "SplitType": "Line"},
    "target": {"Accept": "application/jsonlines", "AssembleWith": "Line"},
}
JSON: Members = {
    "source": {"ContentType": "application/json"},
    "target": {"Accept": "application/json"},
}
