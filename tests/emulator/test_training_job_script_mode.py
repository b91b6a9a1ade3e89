"""Script mode: what a framework image does with the code a job submits.

The code lies in a channel here; a live LocalStack serves it from S3 in the end to end tests.
Source: contract, section 1.5; sagemaker-sdk.md, section 1.
"""

import io
import json
import tarfile
from collections.abc import Mapping
from textwrap import dedent
from typing import Any

import pytest

from tests.emulator.jobs import BUCKET, IMAGE, Jobs, TrainingJobs, channel

DIRECTORY = "/opt/ml/input/data/source"
REPORT = """
    import json, os, sys
    print(json.dumps({"argv": sys.argv, "cwd": os.getcwd(), "env": dict(os.environ)}))
"""


class ScriptMode(Jobs):
    """Jobs without an entrypoint: the image's own `train` runs."""

    kind = "Training"

    def request(self, script: str, **members: Any) -> dict[str, Any]:
        name = members.get("TrainingJobName") or self.new_name()
        files = members.pop("files", {}) | {"train.py": dedent(script)}
        for path, text in files.items():
            self.put(f"source/{name}/{path}", text)
        hyperparameters = {
            "sagemaker_program": "train.py",
            "sagemaker_submit_directory": DIRECTORY,
        }
        return {
            "TrainingJobName": name,
            "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
            "RoleArn": "arn:aws:iam::123456789012:role/SageMaker",
            "InputDataConfig": [
                channel("source", f"s3://{BUCKET}/source/{name}/"),
                *members.pop("channels", ()),
            ],
            "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out"},
            "ResourceConfig": {
                "InstanceType": "ml.m5.large",
                "InstanceCount": 1,
                "VolumeSizeInGB": 1,
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
            "HyperParameters": hyperparameters | members.pop("hyperparameters", {}),
        } | members


@pytest.fixture
def jobs(training: TrainingJobs) -> ScriptMode:
    return ScriptMode(training.context)


def archive(files: Mapping[str, str]) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return content.getvalue()


def test_hyperparameters_become_arguments(jobs: ScriptMode) -> None:
    values = {
        "epochs": "3",
        "learning-rate": "0.1",
        "flag": "true",
        "layers": "[1, 2]",
        "name": '"it\'s ünï"',
        "plain": "words with spaces",
        "c": "1",
    }
    said = jobs.answer(REPORT, hyperparameters=values)
    assert said["argv"] == [
        "train.py",
        *("-c", "1"),
        *("--epochs", "3"),
        *("--flag", "True"),
        *("--layers", "[1, 2]"),
        *("--learning-rate", "0.1"),
        *("--name", "it's ünï"),
        *("--plain", "words with spaces"),
    ]


def test_script_runs_among_its_files(jobs: ScriptMode) -> None:
    script = "import helper, json, os; print(json.dumps([helper.NAME, os.getcwd()]))"
    said = jobs.answer(script, files={"helper.py": "NAME = 'mine'"})
    assert said == ["mine", "/opt/ml/code"]


def test_variables_are_those_of_the_toolkit(jobs: ScriptMode) -> None:
    data = jobs.put("data/a.csv")
    env = jobs.answer(REPORT, hyperparameters={"epochs": "3"}, channels=[channel("train", data)])[
        "env"
    ]
    plain = {
        "SM_MODEL_DIR": "/opt/ml/model",
        "SM_OUTPUT_DIR": "/opt/ml/output",
        "SM_OUTPUT_DATA_DIR": "/opt/ml/output/data",
        "SM_OUTPUT_INTERMEDIATE_DIR": "/opt/ml/output/intermediate",
        "SM_INPUT_DIR": "/opt/ml/input",
        "SM_INPUT_CONFIG_DIR": "/opt/ml/input/config",
        "SM_CHANNEL_TRAIN": "/opt/ml/input/data/train",
        "SM_CURRENT_HOST": "algo-1",
        "SM_CURRENT_INSTANCE_TYPE": "ml.m5.large",
        "SM_CURRENT_INSTANCE_GROUP": "homogeneousCluster",
        "SM_NETWORK_INTERFACE_NAME": "lo",
        "SM_USER_ENTRY_POINT": "train.py",
        "SM_MODULE_NAME": "train",
        "SM_HP_EPOCHS": "3",
        "SM_NUM_GPUS": "0",
    }
    assert {name: env.get(name) for name in plain} == plain
    encoded = {
        "SM_HOSTS": ["algo-1"],
        "SM_CHANNELS": ["source", "train"],
        "SM_HPS": {"epochs": 3},
        "SM_INSTANCE_GROUPS": ["homogeneousCluster"],
        "SM_USER_ARGS": ["--epochs", "3"],
    }
    assert {name: json.loads(env[name]) for name in encoded} == encoded
    assert int(env["SM_NUM_CPUS"]) >= 1


def test_code_may_come_as_an_archive_in_a_channel(jobs: ScriptMode) -> None:
    """So the SDK v2 sends it to a job in network isolation."""
    code = jobs.s3.put_object(
        Bucket=BUCKET, Key="tar/sourcedir.tar.gz", Body=archive({"train.py": "print('from tar')"})
    )
    assert code
    job = jobs.run(
        "",
        channels=[channel("code", f"s3://{BUCKET}/tar/")],
        hyperparameters={"sagemaker_submit_directory": "/opt/ml/input/data/code/sourcedir.tar.gz"},
        EnableNetworkIsolation=True,
    )
    assert jobs.log(job["TrainingJobName"])[-1] == "from tar"


@pytest.mark.parametrize("name", ["../escaped.py", "/opt/ml/model/absolute.py"])
def test_archive_can_not_write_outside_of_the_code(jobs: ScriptMode, name: str) -> None:
    jobs.s3.put_object(
        Bucket=BUCKET, Key="tar/code.tar.gz", Body=archive({name: "", "train.py": ""})
    )
    job = jobs.run(
        "",
        channels=[channel("code", f"s3://{BUCKET}/tar/")],
        hyperparameters={"sagemaker_submit_directory": "/opt/ml/input/data/code/code.tar.gz"},
    )
    if name.startswith("/"):
        assert jobs.status(job) == "Completed", "a leading slash is taken off, as tar does"
    else:
        assert "the code could not be unpacked" in job["FailureReason"]
    assert jobs.status(job) != "Completed" or not archive_of_model(jobs, job)


def archive_of_model(jobs: ScriptMode, job: dict) -> list[str]:
    body = jobs.get(f"out/{job['TrainingJobName']}/output/model.tar.gz")
    with tarfile.open(fileobj=io.BytesIO(body)) as tar:
        return tar.getnames()


@pytest.mark.parametrize(
    ("script", "code", "message"),
    [
        ("raise SystemExit(9)", 9, ""),
        ("raise SystemExit('no luck')", 1, "no luck"),
        ("def fit():\n    raise ValueError('no luck')\nfit()", 1, "ValueError: no luck"),
        ("this is no Python", 1, "SyntaxError: invalid syntax"),
    ],
)
def test_failing_script_is_told_as_the_toolkit_tells_it(
    jobs: ScriptMode, script: str, code: int, message: str
) -> None:
    reason = jobs.run(script)["FailureReason"]
    assert reason.startswith(f"AlgorithmError: ExecuteUserScriptError:\nExitCode {code}\n")
    assert f'{message}"\nCommand "' in reason
    assert reason.endswith('train.py", exit code: 1')


def test_traceback_begins_at_the_script(jobs: ScriptMode) -> None:
    job = jobs.run("raise ValueError('no luck')")
    log = jobs.log(job["TrainingJobName"])
    start = log.index("Traceback (most recent call last):")
    assert log[start + 1].strip() == 'File "/opt/ml/code/train.py", line 1, in <module>'


def test_script_is_main(jobs: ScriptMode) -> None:
    script = """
        import json, os, pickle, sys
        class Model: pass
        pickle.loads(pickle.dumps(Model()))
        print(json.dumps([__name__, os.path.dirname(__file__), sys.argv[0], Model.__module__]))
    """
    assert jobs.answer(script) == ["__main__", "/opt/ml/code", "train.py", "__main__"]


def test_failure_file_of_the_script_is_kept(jobs: ScriptMode) -> None:
    job = jobs.run("open('/opt/ml/output/failure', 'w').write('mine'); raise SystemExit(2)")
    assert job["FailureReason"] == "AlgorithmError: mine, exit code: 1"


def test_shell_script_is_a_program_too(jobs: ScriptMode) -> None:
    job = jobs.run(
        "",
        files={"run.sh": "#!/bin/sh\necho ran $1 $2\n"},
        hyperparameters={"sagemaker_program": "run.sh", "n": "1"},
    )
    last = jobs.log(job["TrainingJobName"])[-1]
    assert (jobs.status(job), last) == ("Completed", "ran -n 1"), jobs.log(job["TrainingJobName"])


@pytest.mark.parametrize(
    ("hyperparameters", "words"),
    [
        ({"sagemaker_program": "other.py"}, "other.py is not in the submitted code: train.py"),
        ({"sagemaker_submit_directory": "/nowhere"}, "/nowhere is not an S3 URI"),
        ({"sagemaker_program": ""}, "sagemaker_program is given neither"),
        ({"sagemaker_mpi_enabled": "true"}, "does not support sagemaker_mpi_enabled"),
    ],
)
def test_request_that_can_not_be_carried_out_fails_with_its_reason(
    jobs: ScriptMode, hyperparameters: dict, words: str
) -> None:
    job = jobs.run("", hyperparameters=hyperparameters)
    assert jobs.status(job) == "Failed"
    assert words in job["FailureReason"]


def test_requirement_that_the_image_meets_is_not_fetched(jobs: ScriptMode) -> None:
    """No index is reachable here: `numpy` is met by the image's, whatever is the newest."""
    script = "import numpy, sys; print('numpy at', numpy.__file__.startswith(sys.prefix))"
    job = jobs.run(
        script,
        files={"requirements.txt": "numpy\n"},
        Environment={"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_RETRIES": "0"},
    )
    log = jobs.log(job["TrainingJobName"])
    assert job["TrainingJobStatus"] == "Completed", log
    assert "numpy at True" in log
