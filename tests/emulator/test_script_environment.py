"""A script's arguments and variables, as sagemaker-training 5.1.4 was seen to give them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sagestack.container.script_environment import arguments, variables

CHANNEL = {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated"}


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    config = tmp_path / "input" / "config"
    config.mkdir(parents=True)
    groups = [
        {"instance_group_name": name, "instance_type": "ml.m5.large", "hosts": [host]}
        for name, host in (("first", "algo-1"), ("second", "algo-2"))
    ]
    resources = {
        "current_host": "algo-2",
        "current_group_name": "second",
        "current_instance_type": "ml.m5.large",
        "hosts": ["algo-1", "algo-2"],
        "instance_groups": groups,
        "network_interface_name": "lo",
    }
    (config / "resourceconfig.json").write_text(json.dumps(resources))
    (config / "inputdataconfig.json").write_text(json.dumps({"b": CHANNEL, "a": CHANNEL}))
    monkeypatch.setenv("TRAINING_JOB_NAME", "job-1")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    return tmp_path


def told(base: Path, **hyperparameters: Any) -> dict[str, str]:
    return variables("train.py", "s3://lake/source.tar.gz", hyperparameters, base)


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (1, "1"),
        (0.001, "0.001"),
        (True, "True"),
        (None, ""),
        ("", ""),
        ("it's", "it's"),
        ([1, "a"], "[1, 'a']"),
        ({"k": 1, "j": "x"}, "j=x,k=1"),
    ],
)
def test_how_a_value_is_written_as_an_argument(value: Any, word: str) -> None:
    assert arguments({"name": value}) == ["--name", word]


def test_a_name_of_one_letter_has_one_dash() -> None:
    assert arguments({"b": 1, "long": 2}) == ["-b", "1", "--long", "2"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (True, "true"),
        (None, ""),
        ("it's", "it's"),
        ([1, "ü"], '[1,"\\u00fc"]'),
        ({"k": 1, "j": None}, '{"j":null,"k":1}'),
    ],
)
def test_how_a_value_is_written_as_a_variable(base: Path, value: Any, text: str) -> None:
    assert told(base, name=value)["SM_HP_NAME"] == text


def test_what_is_for_the_image_does_not_reach_the_script(base: Path) -> None:
    env = told(
        base,
        epochs=3,
        sagemaker_program="train.py",
        sagemaker_job_name="job-1",
        sagemaker_region="us-east-1",
        sagemaker_container_log_level=10,
        sagemaker_other="x",
        _tuning_objective_metric="accuracy",
    )
    assert json.loads(env["SM_HPS"]) == {"epochs": 3}
    assert json.loads(env["SM_USER_ARGS"]) == ["--epochs", "3"]
    assert json.loads(env["SM_FRAMEWORK_PARAMS"]) == {"sagemaker_other": "x"}
    assert env["SM_LOG_LEVEL"] == "10"
    assert (env["SAGEMAKER_JOB_NAME"], env["SAGEMAKER_REGION"]) == ("job-1", "us-east-1")


def test_region_is_the_jobs_where_no_hyperparameter_says(base: Path) -> None:
    assert told(base)["SAGEMAKER_REGION"] == "eu-west-1"


def test_host_is_told_its_group(base: Path) -> None:
    env = told(base)
    assert env["CURRENT_HOST"] == env["SM_CURRENT_HOST"] == "algo-2"
    assert env["SM_CURRENT_INSTANCE_GROUP"] == "second"
    assert env["SM_CURRENT_INSTANCE_GROUP_HOSTS"] == '["algo-2"]'
    assert env["SM_INSTANCE_GROUPS"] == '["first","second"]'
    assert env["SM_IS_HETERO"] == "true"


def test_training_env_has_everything(base: Path) -> None:
    found = json.loads(told(base, epochs=3)["SM_TRAINING_ENV"])
    assert found["hyperparameters"] == {"epochs": 3}
    assert found["channel_input_dirs"] == {n: str(base / "input" / "data" / n) for n in "ab"}
    assert (found["is_master"], found["master_hostname"]) == (False, "algo-1")
    assert (found["module_dir"], found["module_name"]) == ("s3://lake/source.tar.gz", "train")
    assert found["job_name"] == "job-1"
    assert len(found) == 37


def test_names_of_the_variables(base: Path) -> None:
    names = set(told(base)) - {"SM_CHANNEL_A", "SM_CHANNEL_B"}
    assert names == {
        "CURRENT_HOST",
        "SAGEMAKER_JOB_NAME",
        "SAGEMAKER_REGION",
        "SM_CHANNELS",
        "SM_CURRENT_HOST",
        "SM_CURRENT_INSTANCE_GROUP",
        "SM_CURRENT_INSTANCE_GROUP_HOSTS",
        "SM_CURRENT_INSTANCE_TYPE",
        "SM_DISTRIBUTION_INSTANCE_GROUPS",
        "SM_FRAMEWORK_MODULE",
        "SM_FRAMEWORK_PARAMS",
        "SM_HOSTS",
        "SM_HPS",
        "SM_INPUT_CONFIG_DIR",
        "SM_INPUT_DATA_CONFIG",
        "SM_INPUT_DIR",
        "SM_INSTANCE_GROUPS",
        "SM_INSTANCE_GROUPS_DICT",
        "SM_IS_HETERO",
        "SM_LOG_LEVEL",
        "SM_MODEL_DIR",
        "SM_MODULE_DIR",
        "SM_MODULE_NAME",
        "SM_NETWORK_INTERFACE_NAME",
        "SM_NUM_CPUS",
        "SM_NUM_GPUS",
        "SM_NUM_NEURONS",
        "SM_OUTPUT_DATA_DIR",
        "SM_OUTPUT_DIR",
        "SM_OUTPUT_INTERMEDIATE_DIR",
        "SM_RESOURCE_CONFIG",
        "SM_TRAINING_ENV",
        "SM_USER_ARGS",
        "SM_USER_ENTRY_POINT",
    }
