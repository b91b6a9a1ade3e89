"""Job runs, really run: what the script sees, and what is answered of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.emulator.glue_client import ROLE, World, error_of, job_world
from tests.emulator.jobs import REGION


@pytest.fixture
def glue(tmp_path: Path, aws: None) -> Iterator[World]:
    with job_world(tmp_path) as world:
        yield world


def test_a_script_runs_with_its_arguments(glue):
    run = glue.run(
        """
        import sys
        from awsglue.utils import getResolvedOptions
        args = getResolvedOptions(sys.argv, ["JOB_NAME", "day", "mode_"])
        print(args["JOB_NAME"], args["JOB_RUN_ID"], args["day"], args["mode_"])
        print("a warning", file=sys.stderr)
        """,
        {"--day": "two words"},
        DefaultArguments={"--day": "monday", "--mode_": "a"},
        NonOverridableArguments={"--mode_": "b"},
    )
    assert run["JobRunState"] == "SUCCEEDED"
    assert glue.log(run["Id"], "output") == [f"etl {run['Id']} two words b"]
    assert glue.log(run["Id"], "error") == ["a warning"]


def test_a_run_is_answered_as_aws_does(glue):
    run = glue.run("print('hi')", {"--a": "1"}, Timeout=5, GlueVersion="3.0")
    assert run["Id"].startswith("jr_")
    assert len(run["Id"]) == 67
    assert (run["JobName"], run["Attempt"], run["Timeout"]) == ("etl", 0, 5)
    assert (run["MaxCapacity"], run["GlueVersion"]) == (0.0625, "3.0")
    assert run["Arguments"] == {"--a": "1"}
    assert run["LogGroupName"] == "/aws-glue/python-jobs"
    assert run["StartedOn"] <= run["CompletedOn"] <= run["LastModifiedOn"]
    took = (run["CompletedOn"] - run["StartedOn"]).total_seconds()
    assert 0 <= run["ExecutionTime"] <= round(took)
    assert "ErrorMessage" not in run


def test_the_script_acts_as_the_jobs_role(glue):
    run = glue.run(
        """
        import os
        print(os.environ["AWS_REGION"], bool(os.environ["AWS_SESSION_TOKEN"]), "PATH" in os.environ)
        print("AWS_ENDPOINT_URL" in os.environ, "PYTEST_CURRENT_TEST" in os.environ)
        """,
        Role="etl",
    )
    assert glue.log(run["Id"], "output") == [f"{REGION} True True", "False False"]


@pytest.mark.parametrize(
    ("script", "state", "error"),
    [
        ("raise ValueError('boom')", "FAILED", "ValueError: boom"),
        ("import sys; sys.exit(0)", "SUCCEEDED", None),
        ("import sys; sys.exit(3)", "FAILED", "Command failed with exit code 3"),
        ("print(", "FAILED", "SyntaxError: '(' was never closed"),
        ("import os; os.kill(os.getpid(), 9)", "FAILED", "Command failed with exit code 137"),
    ],
)
def test_the_end_of_the_script_is_the_end_of_the_run(glue, script, state, error):
    run = glue.run(script)
    assert (run["JobRunState"], run.get("ErrorMessage")) == (state, error)


def test_a_missing_script_fails_the_run(glue):
    glue.job("print('hi')")
    glue.client("s3").delete_object(Bucket="scripts", Key="etl.py")
    run = glue.wait(glue.start())
    assert run["JobRunState"] == "FAILED"
    assert run["ErrorMessage"] == (
        "The script s3://scripts/etl.py was not found: there is no such object."
    )


@pytest.mark.parametrize(
    ("location", "error"),
    [
        ("s3://gone/etl.py", "no bucket gone"),
        ("/tmp/etl.py", "'/tmp/etl.py' is not an S3 URI"),
        ("s3://scripts", "'s3://scripts' names no file"),
    ],
)
def test_a_location_without_a_script_fails_the_run(glue, location, error):
    command = {"Name": "pythonshell", "ScriptLocation": location}
    glue("CreateJob", Name="etl", Role=ROLE, Command=command)
    assert error in glue.wait(glue.start())["ErrorMessage"]


def test_runs_come_in_pages_the_newest_first(glue):
    glue.job("pass")
    ids = [glue.wait(glue.start())["Id"] for _ in range(3)]
    first = glue("GetJobRuns", JobName="etl", MaxResults=2)
    second = glue("GetJobRuns", JobName="etl", MaxResults=2, NextToken=first["NextToken"])
    assert [run["Id"] for run in first["JobRuns"] + second["JobRuns"]] == ids[::-1]
    assert "NextToken" not in second


def test_a_security_configuration_has_log_groups_of_its_own(glue):
    glue("CreateSecurityConfiguration", Name="kms", EncryptionConfiguration={})
    run = glue.run("print('hi')", SecurityConfiguration="kms")
    assert run["LogGroupName"] == "/aws-glue/python-jobs-etl-kms"
    assert glue.log(run["Id"], "output", run["LogGroupName"]) == ["hi"]


def test_a_missing_job_can_not_be_started(glue):
    error = error_of(glue.start)
    assert error.code == "EntityNotFoundException"
    assert error.message == "Failed to start job run due to missing metadata"


def test_nothing_of_a_run_is_left_on_disk(glue):
    glue.run("open('x', 'w').write('x')")
    assert list((glue.instance.directory / "jobs").iterdir()) == []


def test_the_library_set_is_no_argument_of_the_script(glue):
    run = glue.run("import sys; print(sys.argv[5:])", DefaultArguments={"library-set": "analytics"})
    assert glue.log(run["Id"], "output") == ["[]"]
