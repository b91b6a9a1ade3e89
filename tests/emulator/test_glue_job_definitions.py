"""What a job may say, and how jobs are kept."""

from __future__ import annotations

import pytest

from sagestack.context import Context
from tests.emulator.glue_client import Call, client, error_of
from tests.emulator.jobs import ACCOUNT, REGION

COMMAND = {"Name": "pythonshell", "ScriptLocation": "s3://scripts/etl.py"}
JOB = {"Role": "etl", "Command": COMMAND}


@pytest.fixture
def glue(context: Context) -> Call:
    return client(context)


def test_a_job_has_aws_s_defaults(glue):
    glue("CreateJob", Name="etl", **JOB)
    job = glue("GetJob", JobName="etl")["Job"]
    assert job["Command"] == COMMAND
    assert job["ExecutionProperty"] == {"MaxConcurrentRuns": 1}
    assert (job["MaxCapacity"], job["AllocatedCapacity"]) == (0.0625, 0)
    assert (job["MaxRetries"], job["Timeout"], job["JobMode"]) == (0, 2880, "SCRIPT")
    assert job["CreatedOn"] == job["LastModifiedOn"]


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({"Command": COMMAND | {"Name": "glueetl"}}, "It runs 'pythonshell'"),
        ({"Command": COMMAND | {"Name": "gluestreaming"}}, "It runs 'pythonshell'"),
        ({"Command": COMMAND | {"Name": "glueray"}}, "It runs 'pythonshell'"),
        ({"Command": COMMAND | {"Name": "nonsense"}}, "Invalid Command.Name 'nonsense'"),
        ({"Command": {"Name": "pythonshell"}}, "ScriptLocation"),
        ({"Command": COMMAND | {"PythonVersion": "2"}}, "PythonVersion 2"),
        ({"MaxCapacity": 2.0}, "MaxCapacity"),
        ({"MaxCapacity": 1.0, "AllocatedCapacity": 1}, "only Allocated Capacity or Max Capacity"),
        ({"WorkerType": "G.1X", "NumberOfWorkers": 2}, "Worker Type is not supported"),
        ({"ExecutionClass": "FLEX"}, "FLEX"),
        ({"Role": " "}, "Role"),
        ({"MaxRetries": 11}, "MaxRetries"),
        ({"MaxRetries": -1}, "MaxRetries"),
        ({"Timeout": 10_081}, "10080"),
        ({"ExecutionProperty": {"MaxConcurrentRuns": 0}}, "MaxConcurrentRuns"),
        ({"DefaultArguments": {"--JOB_NAME": "x"}}, "--JOB_NAME"),
        ({"NonOverridableArguments": {"--debug": "x"}}, "--debug"),
        ({"Connections": {"Connections": ["db"]}}, "Connections"),
        ({"JobRunQueuingEnabled": True}, "JobRunQueuingEnabled"),
        ({"NotificationProperty": {"NotifyDelayAfter": 1}}, "NotifyDelayAfter"),
    ],
)
def test_a_definition_that_can_not_run_is_refused(glue, members, text):
    error = error_of(glue, "CreateJob", **{"Name": "etl", **JOB, **members})
    assert error.code == "InvalidInputException"
    assert text in error.message
    assert glue("ListJobs")["JobNames"] == []


def test_a_job_with_a_missing_security_configuration_is_made_but_not_run(glue):
    glue("CreateJob", Name="etl", **JOB, SecurityConfiguration="gone")
    error = error_of(glue, "StartJobRun", JobName="etl")
    assert (error.code, "gone" in error.message) == ("EntityNotFoundException", True)


def test_an_argument_of_glue_s_own_can_not_be_given_to_a_run(glue):
    glue("CreateJob", Name="etl", **JOB)
    error = error_of(glue, "StartJobRun", JobName="etl", Arguments={"--JOB_NAME": "x"})
    assert error.code == "InvalidInputException"
    assert glue("GetJobRuns", JobName="etl")["JobRuns"] == []


def test_a_job_name_is_taken(glue):
    glue("CreateJob", Name="etl", **JOB)
    assert error_of(glue, "CreateJob", Name="etl", **JOB).code == "AlreadyExistsException"
    other = error_of(glue, "CreateJob", Name="etl", **JOB, Timeout=5)
    assert other.code == "IdempotentParameterMismatchException"
    assert "already submitted with different configuration" in other.message


def test_an_updated_job_has_only_what_was_given(glue):
    glue("CreateJob", Name="etl", **JOB, Description="old", Timeout=5, Tags={"a": "b"})
    glue("UpdateJob", JobName="etl", JobUpdate=JOB | {"MaxCapacity": 1.0})
    job = glue("GetJob", JobName="etl")["Job"]
    assert "Description" not in job
    assert (job["Timeout"], job["MaxCapacity"], job["AllocatedCapacity"]) == (2880, 1.0, 1)
    assert job["CreatedOn"] < job["LastModifiedOn"]
    arn = f"arn:aws:glue:{REGION}:{ACCOUNT}:job/etl"
    assert glue("GetTags", ResourceArn=arn)["Tags"] == {"a": "b"}


def test_an_update_is_checked_and_needs_the_job(glue):
    glue("CreateJob", Name="etl", **JOB)
    error = error_of(glue, "UpdateJob", JobName="etl", JobUpdate={"Role": "etl"})
    assert error.code == "InvalidInputException"
    missing = error_of(glue, "UpdateJob", JobName="gone", JobUpdate=JOB)
    assert missing.code == "EntityNotFoundException"


def test_jobs_are_listed_in_pages_and_by_tag(glue):
    for name in ("c", "a", "b"):
        glue("CreateJob", Name=name, **JOB, Tags={"first": "yes"} if name == "a" else {})
    first = glue("ListJobs", MaxResults=2)
    second = glue("ListJobs", MaxResults=2, NextToken=first["NextToken"])
    assert first["JobNames"] + second["JobNames"] == ["a", "b", "c"]
    assert "NextToken" not in second
    assert glue("ListJobs", Tags={"first": "yes"})["JobNames"] == ["a"]
    assert [job["Name"] for job in glue("GetJobs")["Jobs"]] == ["a", "b", "c"]
    some = glue("BatchGetJobs", JobNames=["b", "gone"])
    assert [job["Name"] for job in some["Jobs"]] == ["b"]
    assert some["JobsNotFound"] == ["gone"]


def test_deleting_a_job_that_is_not_there_is_no_error(glue):
    assert glue("DeleteJob", JobName="gone") == {"JobName": "gone"}
    assert error_of(glue, "GetJob", JobName="gone").code == "EntityNotFoundException"
