"""Images of the user's own: what `SAGESTACK_IMAGES` names, and an image that a folder defines.

The folder's programs run for real: one trains, one serves. Its environment is built by uv from
an empty requirements file, so nothing is downloaded.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from sagestack.aws.errors import AwsError
from sagestack.context import Context, Instance
from sagestack.engine.images import Images, added_images, repository_of, setting_of
from tests.emulator.endpoints import Endpoints
from tests.emulator.jobs import BUCKET, ROLE, TrainingJobs, channel

URI = "000000000000.dkr.ecr.us-east-1.amazonaws.com/my-models:latest"
TRAIN = """\
#!/usr/bin/env python
import json, os, pathlib, sys
import helper
print(json.dumps({
    "arguments": sys.argv,
    "directory": os.getcwd(),
    "interpreter": sys.prefix,
    "path": os.environ["PATH"].split(":")[0],
    "program_is_writable": os.access("/opt/program", os.W_OK),
}))
pathlib.Path("/opt/ml/model/model.json").write_text(json.dumps(helper.mean()))
"""
HELPER = """
import pathlib
def mean():
    numbers = pathlib.Path("/opt/ml/input/data/train/numbers.txt").read_text().split()
    return sum(map(float, numbers)) / len(numbers)
"""
SERVE = """
import http.server, json, os
model = json.load(open("/opt/ml/model/model.json"))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(b"")
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(json.dumps([self.path, float(body) * model]).encode())
    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
port = int(os.environ.get("SAGEMAKER_BIND_TO_PORT", 8080))
http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def environments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("environments")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An image with a program to train, one to serve, and a module they share."""
    folder = tmp_path / "image"
    folder.mkdir()
    (folder / "requirements.txt").touch()
    (folder / "train").write_text(TRAIN)
    (folder / "train").chmod(0o755)
    (folder / "helper.py").write_text(HELPER)
    (folder / "serve.py").write_text(dedent(SERVE))
    return folder


@pytest.fixture
def context(instance: Instance, folder: Path, environments: Path) -> Context:
    images = Images(environments, added_images(f"my-models={folder}"))
    return replace(instance, images=images).context("123456789012", "us-east-1")


@pytest.fixture
def jobs(context: Context) -> TrainingJobs:
    return TrainingJobs(context)


def request(jobs: TrainingJobs, **algorithm: Any) -> dict[str, Any]:
    return {
        "TrainingJobName": jobs.new_name(),
        "AlgorithmSpecification": {
            "TrainingImage": URI,
            "TrainingInputMode": "File",
            **algorithm,
        },
        "RoleArn": ROLE,
        "InputDataConfig": [channel("train", jobs.put("train/numbers.txt", "1 2 6"))],
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    }


def run(jobs: TrainingJobs, **algorithm: Any) -> dict[str, Any]:
    wanted = request(jobs, **algorithm)
    jobs.context.call("sagemaker", "CreateTrainingJob", wanted)
    return jobs.end(wanted["TrainingJobName"])


def refusal(jobs: TrainingJobs) -> str:
    with pytest.raises(AwsError) as error:
        jobs.context.call("sagemaker", "CreateTrainingJob", request(jobs))
    return str(error.value)


def test_program_of_the_folder_trains_as_docker_would_run_it(
    jobs: TrainingJobs, environments: Path
) -> None:
    job = run(jobs)
    log = jobs.log(job["TrainingJobName"])
    assert job["TrainingJobStatus"] == "Completed", log
    seen = json.loads(log[-1])
    assert seen["arguments"] == ["/opt/program/train"]
    assert seen["directory"] == seen["path"] == "/opt/program"
    assert Path(seen["interpreter"]).parent == environments
    assert seen["program_is_writable"] is False
    assert jobs.model(job["TrainingJobName"]) == {"model.json": b"3.0"}


def test_arguments_of_the_request_follow_the_program(jobs: TrainingJobs) -> None:
    job = run(jobs, ContainerArguments=["--fast", "yes"])
    seen = json.loads(jobs.log(job["TrainingJobName"])[-1])
    assert seen["arguments"] == ["/opt/program/train", "--fast", "yes"]


def test_entrypoint_of_the_request_is_found_in_the_folder(jobs: TrainingJobs) -> None:
    job = run(jobs, ContainerEntrypoint=["train"])
    assert job["TrainingJobStatus"] == "Completed", jobs.log(job["TrainingJobName"])


def test_python_program_needs_no_execute_permission(jobs: TrainingJobs, folder: Path) -> None:
    (folder / "train").rename(folder / "train.py")
    (folder / "train.py").chmod(0o644)
    assert run(jobs)["TrainingJobStatus"] == "Completed"


def test_folder_is_read_anew_by_each_job(jobs: TrainingJobs, folder: Path) -> None:
    run(jobs)
    (folder / "helper.py").write_text("def mean(): return 7")
    job = run(jobs)
    assert jobs.model(job["TrainingJobName"]) == {"model.json": b"7"}


def test_program_of_the_folder_serves(context: Context) -> None:
    endpoints = Endpoints(context)
    uri = endpoints.put_archive("", **{"model.json": b"3"})
    model = endpoints.model(container={"Image": URI, "ModelDataUrl": uri})
    endpoint = endpoints.serve(model, InitialInstanceCount=2)
    assert endpoints.answer(endpoint, body=b"2") == ["/invocations", 6.0]


def test_job_is_refused_when_the_folder_has_no_program_to_train(
    jobs: TrainingJobs, folder: Path
) -> None:
    (folder / "train").unlink()
    assert refusal(jobs) == (
        "image my-models has no program 'train': put an executable file 'train', or train.py, "
        f"into {folder}"
    )


def test_job_is_refused_when_the_program_can_not_be_executed(
    jobs: TrainingJobs, folder: Path
) -> None:
    (folder / "train").chmod(0o644)
    assert refusal(jobs) == (
        f"the program 'train' of image my-models can't be executed: chmod +x {folder / 'train'}"
    )


def test_job_with_an_entrypoint_needs_no_program(jobs: TrainingJobs, folder: Path) -> None:
    (folder / "train").unlink()
    job = run(jobs, ContainerEntrypoint=["python", "-c", "import helper; print(helper.mean())"])
    assert jobs.log(job["TrainingJobName"]) == ["3.0"]


def test_endpoint_fails_when_the_folder_has_no_program_to_serve(
    context: Context, folder: Path
) -> None:
    (folder / "serve.py").unlink()
    endpoints = Endpoints(context)
    uri = endpoints.put_archive("", **{"model.json": b"3"})
    model = endpoints.model(container={"Image": URI, "ModelDataUrl": uri})
    name = endpoints.create(endpoints.config(endpoints.variant(model)))
    endpoint = endpoints.settled(name)
    assert endpoint["EndpointStatus"] == "Failed"
    assert endpoint["FailureReason"].startswith("image my-models has no program 'serve'")


def test_requirements_that_can_not_be_had_fail_the_job(jobs: TrainingJobs, folder: Path) -> None:
    (folder / "requirements.txt").write_text("./not-a-package\n")
    job = run(jobs)
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError: The image could not be built: ")
    assert "not-a-package" in job["FailureReason"]


def test_locked_requirements_are_taken_before_others(folder: Path) -> None:
    (folder / "requirements.lock").touch()
    [image] = added_images(f"my-models={folder}")
    assert image.source == folder / "requirements.lock"


def test_folder_must_say_what_it_requires(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no requirements\.txt and no requirements\.lock"):
        added_images(f"my-models={tmp_path}")


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("my-models", "'my-models' is not of the form repository=path"),
        ("=/tmp", "'=/tmp' is not of the form repository=path"),
        ("my-models=/nowhere", "my-models: there is no file or folder /nowhere"),
    ],
)
def test_setting_that_is_none_is_refused(setting: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        added_images(setting)


def test_setting_names_places_that_do_not_depend_on_the_directory(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    images = added_images(f"a=image,b=image/requirements.txt,c={sys.executable}")
    assert setting_of(images) == (f"a={folder},b={folder / 'requirements.txt'},c={sys.executable}")


def test_repository_is_what_an_image_is_found_by() -> None:
    uris = [
        "123.dkr.ecr.eu-west-1.amazonaws.com/team/my-models:1.0",
        "my-models",
        "123.dkr.ecr.eu-west-1.amazonaws.com/my-models@sha256:ab",
    ]
    assert {repository_of(uri) for uri in uris} == {"my-models"}


def test_unknown_image_is_refused_with_those_there_are(training: TrainingJobs) -> None:
    with pytest.raises(AwsError) as error:
        training.create("", algorithm={"TrainingImage": "123/none:1"})
    text = str(error.value)
    assert "sagestack has no image for repository 'none'" in text
    assert "sagemaker-xgboost" in text
    assert "SAGESTACK_IMAGES=none=<folder, requirements file or interpreter>" in text
