"""Glue on a live LocalStack: a Python shell job over S3 and the catalog."""

from __future__ import annotations

from textwrap import dedent
from typing import Any

from tests.e2e.live import ACCOUNT
from tests.emulator.jobs import BUCKET, TrainingJobs
from tests.waiting import wait_until

ROLE = f"arn:aws:iam::{ACCOUNT}:role/etl"
ENDED = ("SUCCEEDED", "FAILED", "TIMEOUT", "STOPPED")
SCRIPT = f"""
    import sys
    import boto3
    from awsglue.utils import getResolvedOptions

    options = getResolvedOptions(sys.argv, ["JOB_NAME", "word"])
    boto3.client("s3").put_object(Bucket="{BUCKET}", Key="glue/out", Body=options["word"])
    tables = boto3.client("glue").get_tables(DatabaseName="flights")["TableList"]
    print(options["JOB_NAME"], [table["Name"] for table in tables])
"""


def run(training: TrainingJobs, name: str, script: str, **arguments: str) -> dict[str, Any]:
    """Run a job of this script to its end; the run."""
    call = training.context.call
    location = training.put(f"scripts/{name}.py", dedent(script))
    command = {"Name": "pythonshell", "ScriptLocation": location, "PythonVersion": "3.9"}
    call("glue", "CreateJob", {"Name": name, "Role": ROLE, "Command": command})
    started = call("glue", "StartJobRun", {"JobName": name, "Arguments": arguments})

    def ended() -> dict[str, Any] | None:
        request = {"JobName": name, "RunId": started["JobRunId"]}
        found: dict[str, Any] = call("glue", "GetJobRun", request)["JobRun"]
        return found if found["JobRunState"] in ENDED else None

    found = wait_until(ended, 60, f"the end of {name}")
    assert found is not None
    return found


def lines(training: TrainingJobs, run_id: str) -> list[str]:
    page = training.logs.get_log_events(
        logGroupName="/aws-glue/python-jobs/output", logStreamName=run_id, startFromHead=True
    )
    return [event["message"] for event in page["events"]]


def test_job_run_reads_its_arguments_and_reaches_s3_and_the_catalog(
    training: TrainingJobs,
) -> None:
    call = training.context.call
    call("glue", "CreateDatabase", {"DatabaseInput": {"Name": "flights"}})
    call("glue", "CreateTable", {"DatabaseName": "flights", "TableInput": {"Name": "delays"}})
    found = run(training, "etl", SCRIPT, **{"--word": "hello"})
    assert found["JobRunState"] == "SUCCEEDED", found.get("ErrorMessage")
    assert training.get("glue/out") == b"hello"
    assert lines(training, found["Id"]) == ["etl ['delays']"]


def test_failing_job_run_says_why(training: TrainingJobs) -> None:
    found = run(training, "failing", "raise ValueError('no rows')")
    assert found["JobRunState"] == "FAILED"
    assert "ValueError: no rows" in found["ErrorMessage"]
