"""Processing jobs: the container's contract, and how a job ends. Source: contract, section 2."""

import json
from pathlib import Path

import pytest

from sagestack.aws.errors import ResourceInUse, ValidationException
from tests.emulator.jobs import (
    ACCOUNT,
    BUCKET,
    IMAGE,
    REGION,
    ROLE,
    ProcessingJobs,
    s3_input,
    s3_output,
)

OUT = "/opt/ml/processing/out"
CONFIG = """
    import json, pathlib
    config = pathlib.Path("/opt/ml/config")
    print(json.dumps({p.name: json.loads(p.read_text()) for p in config.iterdir()}))
"""


def arn(name: str) -> str:
    return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:processing-job/{name}"


def output(name: str = "out", path: str = OUT) -> dict:
    return s3_output(name, f"s3://{BUCKET}/{name}", path)


def test_configuration_files_hold_what_the_contract_says(processing: ProcessingJobs) -> None:
    request = processing.request(
        CONFIG,
        ProcessingJobName="config",
        Environment={"A": "b"},
        application={"ContainerArguments": ["--x", "1"]},
        outputs=[output()],
    )
    processing.context.call("sagemaker", "CreateProcessingJob", request)
    processing.end("config")
    [line] = processing.log("config")
    [code] = request["ProcessingInputs"]
    assert json.loads(line) == {
        "resourceconfig.json": {"current_host": "algo-1", "hosts": ["algo-1"]},
        "processingjobconfig.json": {
            "ProcessingJobArn": arn("config"),
            "ProcessingJobName": "config",
            "AppSpecification": {
                "ImageUri": IMAGE,
                "ContainerEntrypoint": request["AppSpecification"]["ContainerEntrypoint"],
                "ContainerArguments": ["--x", "1"],
            },
            "Environment": {"A": "b"},
            "ProcessingInputs": [
                {
                    "InputName": "code",
                    "S3Input": {
                        **code["S3Input"],
                        "S3DownloadMode": "StartOfJob",
                        "S3DataDistributionType": None,
                        "S3CompressionType": None,
                    },
                }
            ],
            "ProcessingOutputConfig": {
                "Outputs": request["ProcessingOutputConfig"]["Outputs"],
                "KmsKeyId": None,
            },
            "ProcessingResources": {
                "ClusterConfig": {
                    **request["ProcessingResources"]["ClusterConfig"],
                    "VolumeKmsKeyId": None,
                }
            },
            "RoleArn": ROLE,
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        },
    }


def test_arguments_follow_the_entrypoint(processing: ProcessingJobs) -> None:
    arguments = ["--name", "ünï 💥", "x" * 256, "a b", "$HOME"]
    script = "import sys, json; print(json.dumps(sys.argv[1:]))"
    assert processing.answer(script, application={"ContainerArguments": arguments}) == arguments


def test_program_has_its_job_and_the_requested_variables(processing: ProcessingJobs) -> None:
    script = "import os, json; print(json.dumps(dict(os.environ)))"
    variables = processing.answer(script, ProcessingJobName="env", Environment={"FOO": "bar"})
    assert variables["PROCESSING_JOB_NAME"] == "env"
    assert variables["PROCESSING_JOB_ARN"] == arn("env")
    assert variables["FOO"] == "bar"


def test_inputs_lie_at_their_paths(processing: ProcessingJobs) -> None:
    processing.put("data/a.csv", "a")
    processing.put("data/deep/b.csv", "b")
    single = processing.put("single.csv", "s")
    script = """
        import json, pathlib
        root = pathlib.Path("/opt/ml/processing")
        print(json.dumps({str(p.relative_to(root)): p.read_text()
                          for p in root.rglob("*.csv")}))
    """
    found = processing.answer(
        script,
        inputs=[
            s3_input("data", f"s3://{BUCKET}/data", "/opt/ml/processing/input/data"),
            s3_input("single", single, "/opt/ml/processing/other"),
        ],
    )
    assert found == {
        "input/data/a.csv": "a",
        "input/data/deep/b.csv": "b",
        "other/single.csv": "s",
    }


def test_outputs_are_uploaded_with_their_paths(processing: ProcessingJobs) -> None:
    job = processing.run(
        f"""
        import os, pathlib
        out = pathlib.Path("{OUT}")
        (out / "deep").mkdir()  # the directory is there already
        (out / "a.txt").write_text("a")
        (out / "deep/b.txt").write_text("b")
        os.symlink("/etc/passwd", out / "link")
        """,
        outputs=[output()],
    )
    assert processing.status(job) == "Completed"
    assert processing.keys("out/") == ["out/a.txt", "out/deep/b.txt"]
    assert processing.get("out/deep/b.txt") == b"b"


def test_outputs_of_a_failed_job_are_uploaded_too(processing: ProcessingJobs) -> None:
    job = processing.run(
        f"open('{OUT}/part', 'w').close(); raise SystemExit(3)", outputs=[output()]
    )
    assert job["FailureReason"] == "AlgorithmError: , exit code: 3"
    assert processing.keys("out/") == ["out/part"]


def test_output_replaced_by_a_link_is_not_followed(processing: ProcessingJobs) -> None:
    job = processing.run(
        f"import os; os.rmdir('{OUT}'); os.symlink('/etc', '{OUT}')", outputs=[output()]
    )
    assert processing.status(job) == "Failed"
    assert job["FailureReason"] == f"ClientError: {OUT} is a link or lies behind one"
    assert processing.keys("out/") == []


def test_job_without_outputs_completes(processing: ProcessingJobs) -> None:
    job = processing.run("print('done')")
    assert processing.status(job) == "Completed"
    assert job["CreationTime"] <= job["ProcessingStartTime"] <= job["ProcessingEndTime"]
    assert [member for member, value in job.items() if value in ({}, [], None)] == []


def test_message_becomes_the_exit_message(processing: ProcessingJobs) -> None:
    job = processing.run("open('/opt/ml/output/message', 'w').write('ü' * 600)")
    assert job["ExitMessage"] == "ü" * 512, "its first kilobyte"


def test_message_that_is_no_text_fails_the_job(processing: ProcessingJobs) -> None:
    job = processing.run("open('/opt/ml/output/message', 'wb').write(b'\\xff')")
    assert processing.status(job) == "Failed"
    assert job["FailureReason"].startswith("ClientError: ")


def test_failure_file_becomes_the_reason(processing: ProcessingJobs) -> None:
    job = processing.run(
        "open('/opt/ml/output/failure', 'w').write('no rows'); raise SystemExit(1)"
    )
    assert job["FailureReason"] == "AlgorithmError: no rows, exit code: 1"


def test_missing_input_fails_the_job(processing: ProcessingJobs) -> None:
    job = processing.run("", inputs=[s3_input("x", f"s3://{BUCKET}/none", "/opt/ml/processing/x")])
    assert processing.status(job) == "Failed"
    assert job["FailureReason"].startswith("ClientError: Data download failed:")
    assert "ProcessingStartTime" not in job


def test_missing_output_bucket_fails_the_job(processing: ProcessingJobs) -> None:
    job = processing.run(
        f"open('{OUT}/x', 'w').close()", outputs=[s3_output("out", "s3://no-such-bucket/x", OUT)]
    )
    assert processing.status(job) == "Failed"
    assert job["FailureReason"] == "ClientError: S3 bucket does not exist: no-such-bucket"


def test_stop_ends_a_running_job(processing: ProcessingJobs) -> None:
    name = processing.create(
        f"""
        import signal, sys
        def save(*_):
            open("{OUT}/saved", "w").close()
            sys.exit(0)
        signal.signal(signal.SIGTERM, save)
        print("begun", flush=True)
        signal.pause()
        """,
        outputs=[output()],
    )
    processing.wait_for_line(name, "begun")
    processing.stop(name)
    job = processing.end(name)
    assert processing.status(job) == "Stopped"
    assert processing.keys("out/") == ["out/saved"]


def test_job_that_takes_too_long_is_stopped(processing: ProcessingJobs) -> None:
    job = processing.run(
        "import signal; signal.pause()", StoppingCondition={"MaxRuntimeInSeconds": 1}
    )
    assert processing.status(job) == "Stopped"


def test_ended_job_can_not_be_stopped(processing: ProcessingJobs) -> None:
    name = processing.run("")["ProcessingJobName"]
    with pytest.raises(ValidationException, match="processing job is in status Completed"):
        processing.stop(name)


def test_name_can_be_used_once(processing: ProcessingJobs) -> None:
    processing.create("", ProcessingJobName="once")
    with pytest.raises(ResourceInUse, match=arn("once")):
        processing.create("", ProcessingJobName="Once")


def test_unknown_name_is_a_validation_error(processing: ProcessingJobs) -> None:
    with pytest.raises(ValidationException) as raised:
        processing.describe("nobody")
    assert raised.value.message == "Could not find requested job with name: nobody"


def test_link_in_the_place_of_a_continuous_output_is_not_followed(
    processing: ProcessingJobs, tmp_path: Path
) -> None:
    (tmp_path / "secret").touch()
    continuous = output()
    continuous["S3Output"]["S3UploadMode"] = "Continuous"
    script = f"import os; os.rmdir({OUT!r}); os.symlink({str(tmp_path)!r}, {OUT!r})"
    job = processing.run(script, outputs=[continuous])
    assert "is a link or lies behind one" in job["FailureReason"]
    assert processing.keys("out") == []


def test_name_that_no_object_can_have_is_the_reason(processing: ProcessingJobs) -> None:
    script = f"import os; open(os.fsencode({OUT!r}) + b'/\\xff', 'w').close()"
    job = processing.run(script, outputs=[output()])
    assert job["FailureReason"] == (
        "ClientError: Data upload failed:S3 key is not UTF-8: 'out/\\udcff'"
    )


def test_key_that_is_too_long_is_the_reason(processing: ProcessingJobs) -> None:
    script = f"open({OUT!r} + '/' + 'k' * 200, 'w').close()"
    long = s3_output("out", f"s3://{BUCKET}/{'w' * 900}", OUT)
    job = processing.run(script, outputs=[long])
    assert job["FailureReason"].startswith("ClientError: Data upload failed:S3 key is too long: ")
