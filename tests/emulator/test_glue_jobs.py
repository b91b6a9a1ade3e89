"""Jobs and job runs, really run, on moto's S3, logs and events in this process."""

from __future__ import annotations

import io
import sys
import textwrap
import time
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from moto import mock_aws

import sagestack.glue
from sagestack.aws.errors import AwsError
from sagestack.aws.store import Store
from sagestack.boto_host import BotoHost, BotoSession
from sagestack.context import Context, Instance
from sagestack.engine.executor import Executor
from sagestack.engine.images import Image, Images
from sagestack.glue import python_shell

ACCOUNT, REGION = "123456789012", "eu-west-1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/etl"
ENDED = ("SUCCEEDED", "FAILED", "TIMEOUT", "STOPPED")


@dataclass
class World:
    """A client's view of an instance, with a bucket to put scripts in."""

    instance: Instance
    context: Context

    def __call__(self, operation: str, **request):
        return self.context.call("glue", operation, request)

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

    def wait(self, run_id: str, *states: str, seconds: float = 20) -> dict:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            run = self.read(run_id)
            if run["JobRunState"] in (states or ENDED):
                return run
            time.sleep(0.02)
        raise TimeoutError(f"{run_id} is {run['JobRunState']}")

    def run(self, script: str, arguments: dict | None = None, **members) -> dict:
        self.job(script, **members)
        return self.wait(self.start(Arguments=arguments or {}))

    def log(self, run_id: str, kind: str, group: str = "/aws-glue/python-jobs") -> list[str]:
        events = self.client("logs").get_log_events(
            logGroupName=f"{group}/{kind}", logStreamName=run_id, startFromHead=True
        )
        return [event["message"] for event in events["events"]]


@pytest.fixture
def image() -> Image:
    return Image("glue-shell", ("glue-shell",), Path(sys.executable))


@pytest.fixture
def glue(tmp_path, image):
    images = Images(tmp_path / "images", [image], warm=bool(image.preload))
    with mock_aws():
        instance = Instance(
            tmp_path, Store(tmp_path / "records.sqlite"), BotoHost(None), images, Executor(2)
        )
        world = World(instance, instance.context(ACCOUNT, REGION))
        world.client("s3").create_bucket(
            Bucket="scripts", CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        yield world
        assert instance.executor.close(20)
        images.close()


@pytest.fixture
def events(monkeypatch):
    """The events that EventBridge was told of, as (source, detail type, detail)."""
    told = []
    monkeypatch.setattr(
        BotoSession,
        "put_event",
        lambda self, source, detail_type, detail, resources: told.append(
            (source, detail_type, detail)
        ),
    )
    return told


def error_of(call, *args, **kwargs) -> AwsError:
    with pytest.raises(AwsError) as raised:
        call(*args, **kwargs)
    return raised.value


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
    assert run["ExecutionTime"] in (0, 1, 2)
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


def test_a_missing_bucket_fails_the_run(glue):
    command = {"Name": "pythonshell", "ScriptLocation": "s3://gone/etl.py"}
    glue("CreateJob", Name="etl", Role=ROLE, Command=command)
    assert "no bucket gone" in glue.wait(glue.start())["ErrorMessage"]


def zipped(**files: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "/") + ".py", text)
    return buffer.getvalue()


def wheel(name: str, code: str) -> bytes:
    buffer, info = io.BytesIO(), f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return buffer.getvalue()


def test_extra_files_and_python_files_are_there(glue):
    python_files = [
        glue.put("lib/one.py", "ONE = 1"),
        glue.put("lib/more.zip", zipped(two="TWO = 2", package____init="", package__three="T = 3")),
        glue.put("lib/four-1.0-py3-none-any.whl", wheel("four", "FOUR = 4")),
    ]
    run = glue.run(
        """
        import one, two, four
        import importlib.metadata
        print(one.ONE, two.TWO, four.FOUR, importlib.metadata.version("four"))
        print(open("config.json").read())
        """,
        {
            "--extra-py-files": ", ".join(python_files),
            "--extra-files": glue.put("conf/config.json", "{}"),
        },
    )
    assert run["JobRunState"] == "SUCCEEDED", run
    assert glue.log(run["Id"], "output")[-2:] == ["1 2 4 1.0", "{}"]


def test_additional_modules_are_installed_for_the_run_alone(glue):
    location = glue.put("wheels/five-1.0-py3-none-any.whl", wheel("five", "FIVE = 5"))
    run = glue.run(
        "import five; print(five.FIVE, five.__file__)",
        {
            "--additional-python-modules": location,
            "--python-modules-installer-option": "--offline",
        },
    )
    assert run["JobRunState"] == "SUCCEEDED", run
    assert glue.log(run["Id"], "output")[-1] == "5 /opt/ml/modules/five.py"
    glue("UpdateJob", JobName="etl", JobUpdate=definition(glue))
    assert glue.wait(glue.start())["ErrorMessage"].startswith("ModuleNotFoundError")


def definition(glue) -> dict:
    job = glue("GetJob", JobName="etl")["Job"]
    return {"Role": job["Role"], "Command": job["Command"]}


def test_modules_that_can_not_be_installed_fail_the_run_in_the_installers_words(glue):
    run = glue.run(
        "print('never')",
        {
            "--additional-python-modules": "no-such-module==1.0",
            "--python-modules-installer-option": "--offline --no-index",
        },
    )
    assert run["JobRunState"] == "FAILED"
    assert "no-such-module" in run["ErrorMessage"]
    assert "never" not in glue.log(run["Id"], "output")


def test_an_extra_file_of_another_kind_is_refused(glue):
    run = glue.run("print('hi')", {"--extra-py-files": glue.put("lib/x.txt", "")})
    assert "is not a .py, .zip, .egg or .whl file" in run["ErrorMessage"]


def test_lines_reach_the_log_while_the_script_runs(glue):
    glue.job("import time; print('first'); time.sleep(60)")
    run_id = glue.start()
    glue.wait(run_id, "RUNNING")
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if glue.log(run_id, "output") == ["first"]:
                break
        except glue.client("logs").exceptions.ResourceNotFoundException:
            pass
        time.sleep(0.05)
    assert glue.read(run_id)["JobRunState"] == "RUNNING"
    assert glue.log(run_id, "output") == ["first"]
    glue("BatchStopJobRun", JobName="etl", JobRunIds=[run_id])


def test_a_running_run_is_stopped(glue, events):
    glue.job("import time; time.sleep(60)")
    run_id = glue.start()
    glue.wait(run_id, "RUNNING")
    answer = glue("BatchStopJobRun", JobName="etl", JobRunIds=[run_id, "jr_gone"])
    assert answer["SuccessfulSubmissions"] == [{"JobName": "etl", "JobRunId": run_id}]
    assert [error["JobRunId"] for error in answer["Errors"]] == ["jr_gone"]
    assert glue.wait(run_id)["JobRunState"] == "STOPPED"
    again = glue("BatchStopJobRun", JobName="etl", JobRunIds=[run_id])
    assert again["SuccessfulSubmissions"] == []
    assert "has ended" in again["Errors"][0]["ErrorDetail"]["ErrorMessage"]
    assert [detail["state"] for _, _, detail in events] == ["STOPPED"]


def test_a_queued_run_is_stopped_without_having_run(glue):
    glue.job(
        "import time; print('ran'); time.sleep(60)", ExecutionProperty={"MaxConcurrentRuns": 3}
    )
    running = [glue.start(), glue.start()]
    for run_id in running:
        glue.wait(run_id, "RUNNING")
    queued = glue.start()
    assert glue.read(queued)["JobRunState"] == "STARTING"
    glue("BatchStopJobRun", JobName="etl", JobRunIds=[queued])
    assert glue.wait(queued)["JobRunState"] == "STOPPED"
    assert [glue.read(run_id)["JobRunState"] for run_id in running] == ["RUNNING"] * 2
    glue("BatchStopJobRun", JobName="etl", JobRunIds=running)


def test_a_run_over_its_timeout_ends(glue, events, monkeypatch):
    monkeypatch.setattr(python_shell, "MINUTE", 0.5)
    glue.job("import time; time.sleep(60)", Timeout=100, MaxRetries=1)
    run = glue.wait(glue.start(Timeout=1))
    assert run["JobRunState"] == "TIMEOUT"
    (source, detail_type, detail), *_ = events
    assert (source, detail_type) == ("aws.glue", "Glue Job State Change")
    assert detail == {
        "jobName": "etl",
        "severity": "WARN",
        "state": "TIMEOUT",
        "jobRunId": run["Id"],
        "message": "Job run timed out",
    }


def test_a_job_runs_no_more_often_than_it_may(glue):
    glue.job("import time; time.sleep(60)")
    run_id = glue.start()
    error = error_of(glue.start)
    assert error.code == "ConcurrentRunsExceededException"
    assert error.message == "Concurrent runs exceeded for etl"
    glue("BatchStopJobRun", JobName="etl", JobRunIds=[run_id])
    glue.wait(run_id)
    second = glue.start()
    glue("BatchStopJobRun", JobName="etl", JobRunIds=[second])


def test_a_failed_run_is_retried_as_a_new_run(glue, events):
    run = glue.run("raise ValueError('boom')", {"--a": "1"}, MaxRetries=2)
    last = attempt(glue, 2)
    runs = glue("GetJobRuns", JobName="etl")["JobRuns"]
    first = run["Id"]
    assert [r["Id"] for r in runs] == [f"{first}_attempt_2", f"{first}_attempt_1", first]
    assert [r["Attempt"] for r in runs] == [2, 1, 0]
    assert [r.get("PreviousRunId") for r in runs] == [f"{first}_attempt_1", first, None]
    assert last["Arguments"] == {"--a": "1"}
    details = [detail for _, _, detail in events]
    assert [d["state"] for d in details] == ["FAILED"] * 3
    assert details[0]["severity"] == "ERROR"
    assert details[0]["message"] == "ValueError: boom"


def attempt(glue, number: int) -> dict:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        newest = glue("GetJobRuns", JobName="etl", MaxResults=1)["JobRuns"][0]
        if newest["Attempt"] == number and newest["JobRunState"] in ENDED:
            return newest
        time.sleep(0.05)
    raise TimeoutError(f"there was no attempt {number}")


def test_a_run_can_be_retried_by_its_id(glue):
    run = glue.run("import sys; print(sys.argv[-1])", {"--a": "1"})
    again = glue.wait(glue.start(JobRunId=run["Id"]))
    assert again["Id"] == f"{run['Id']}_attempt_1"
    assert again["PreviousRunId"] == run["Id"]
    assert glue.log(again["Id"], "output") == ["1"]


def test_a_job_can_be_deleted_while_it_runs(glue):
    glue.job("import time; time.sleep(60)", MaxRetries=3)
    run_id = glue.start()
    glue.wait(run_id, "RUNNING")
    glue("DeleteJob", JobName="etl")
    assert error_of(glue.read, run_id).code == "EntityNotFoundException"
    assert glue.instance.executor.close(20)
    assert not glue.instance.store.count("glue-job-run")


def test_what_ran_when_the_server_died_has_failed(glue):
    glue.job("import time; time.sleep(60)")
    run_id = glue.start()
    glue.wait(run_id, "RUNNING")
    reborn = replace(glue.instance, executor=Executor(1))
    sagestack.glue.recover(reborn)
    run = glue.read(run_id)
    assert run["JobRunState"] == "FAILED"
    assert "server that ran this job run was stopped or died" in run["ErrorMessage"]
    assert "CompletedOn" in run


def test_a_shut_down_ends_a_run_as_failed(glue):
    glue.job("import time; time.sleep(60)")
    run_id = glue.start()
    glue.wait(run_id, "RUNNING")
    assert glue.instance.executor.close(20)
    run = glue.read(run_id)
    assert (run["JobRunState"], run["ErrorMessage"]) == (
        "FAILED",
        "The server was shut down while the job ran.",
    )


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


@pytest.fixture
def warm_glue(image, glue):
    """A world whose image has an idle process that has imported boto3."""
    environment = glue.instance.images.environment(image)
    deadline = time.monotonic() + 20
    while not environment.worker.ready and time.monotonic() < deadline:
        time.sleep(0.02)
    assert environment.worker.ready
    return glue


WARM = pytest.mark.parametrize(
    "image", [Image("glue-shell", ("glue-shell",), Path(sys.executable), ("boto3",))]
)


@WARM
def test_a_run_is_forked_from_the_images_idle_process(warm_glue):
    run = warm_glue.run(
        """
        import sys
        from awsglue.utils import getResolvedOptions
        import own
        name = getResolvedOptions(sys.argv, ["JOB_NAME"])["JOB_NAME"]
        print("boto3" in sys.modules, own.ONE, name)
        raise ValueError("boom")
        """,
        {"--extra-py-files": warm_glue.put("own.py", "ONE = 1")},
    )
    assert warm_glue.log(run["Id"], "output") == ["True 1 etl"]
    assert run["ErrorMessage"] == "ValueError: boom"
    assert warm_glue.log(run["Id"], "error")[0] == "Traceback (most recent call last):"


@WARM
@pytest.mark.parametrize("archive", [False, True])
def test_a_run_that_brings_a_module_of_the_images_gets_its_own(warm_glue, archive):
    if archive:
        files = warm_glue.put("own.zip", zipped(boto3="MINE = 1"))
    else:
        files = warm_glue.put("boto3.py", "MINE = 1")
    run = warm_glue.run("import boto3; print(boto3.MINE)", {"--extra-py-files": files})
    assert warm_glue.log(run["Id"], "output") == ["1"]


def test_the_library_set_is_no_argument_of_the_script(glue):
    run = glue.run("import sys; print(sys.argv[5:])", DefaultArguments={"library-set": "analytics"})
    assert glue.log(run["Id"], "output") == ["[]"]
