"""The built-in XGBoost, trained for real: its inputs, its log and metrics, its model."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pandas as pd
import pytest

from sagestack.context import Instance
from tests.emulator.jobs import BUCKET, channel
from tests.emulator.xgboost_jobs import (
    XGBoostJobs,
    as_csv,
    as_libsvm,
    rows,
    xgboost_instance,
)
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    with xgboost_instance(tmp_path_factory.mktemp("xgboost")) as instance:
        yield instance


@pytest.fixture(scope="module")
def jobs(instance: Instance) -> XGBoostJobs:
    return XGBoostJobs.of(instance)


def test_model_is_one_that_xgboost_loads(jobs: XGBoostJobs) -> None:
    job = jobs.good({"num_round": "50"})
    assert list(jobs.model(job["TrainingJobName"])) == ["xgboost-model"]
    [prediction] = jobs.predictions(job, [[5.0, 2.0, 1.0]])
    assert prediction == pytest.approx(2 * 5.0 - 2.0, abs=2)


def test_log_has_a_line_for_each_round_in_the_documented_form(jobs: XGBoostJobs) -> None:
    job = jobs.good(channels={"train": jobs.train, "validation": jobs.validation})
    lines = [line for line in jobs.log(job["TrainingJobName"]) if "rmse" in line]
    assert len(lines) == 3
    first, *_ = lines
    number, train, validation = first.split("#011")
    assert number == "[0]"
    assert train.startswith("train-rmse:") and validation.startswith("validation-rmse:")


def test_metrics_are_found_without_definitions(jobs: XGBoostJobs) -> None:
    job = jobs.good(
        {"eval_metric": "mae,rmse"}, {"train": jobs.train, "validation": jobs.validation}
    )
    metrics = jobs.metrics(job)
    assert sorted(metrics) == ["train:mae", "train:rmse", "validation:mae", "validation:rmse"]
    last = jobs.log(job["TrainingJobName"])[-1].split("#011")
    assert f"train-rmse:{metrics['train:rmse']:.5f}" in last
    defined = {d["Name"]: d["Regex"] for d in job["AlgorithmSpecification"]["MetricDefinitions"]}
    assert defined["validation:rmse"] == (
        r".*\[[0-9]+\].*#011validation-rmse:([-+]?[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?).*"
    )


def test_definitions_of_the_request_are_the_only_ones(jobs: XGBoostJobs) -> None:
    mine = [{"Name": "mine", "Regex": "#011train-rmse:([0-9.]+)"}]
    job = jobs.good(algorithm={"MetricDefinitions": mine})
    assert job["AlgorithmSpecification"]["MetricDefinitions"] == mine
    assert list(jobs.metrics(job)) == ["mine"]


def test_metrics_that_xgboost_does_not_have_are_those_of_classes(jobs: XGBoostJobs) -> None:
    table = [[float(row[0] > 5), *row[1:]] for row in rows(100)]
    job = jobs.good(
        {"objective": "binary:logistic", "eval_metric": "accuracy,f1", "num_round": "20"},
        {"train": jobs.put("binary/train.csv", as_csv(table))},
    )
    assert jobs.metrics(job)["train:accuracy"] > 0.9
    assert jobs.metrics(job)["train:f1"] > 0.9


def test_libsvm_is_the_default_and_gives_the_same_model(jobs: XGBoostJobs) -> None:
    uri = jobs.put("svm/train.libsvm", as_libsvm(rows(200)))
    libsvm = jobs.good(channels={"train": uri}, content_type=None)
    csv = jobs.good()
    row = [[5.0, 2.0, 1.0]]
    assert jobs.predictions(libsvm, row) == jobs.predictions(csv, row)


def test_parquet_gives_the_same_model(jobs: XGBoostJobs) -> None:
    body = io.BytesIO()
    pd.DataFrame(rows(200)).rename(columns=str).to_parquet(body)
    uri = jobs.put("parquet/train.parquet", body.getvalue())
    parquet = jobs.good(channels={"train": uri}, content_type="application/x-parquet")
    row = [[5.0, 2.0, 1.0]]
    assert jobs.predictions(parquet, row) == jobs.predictions(jobs.good(), row)


def test_files_in_folders_of_the_channel_are_read(jobs: XGBoostJobs) -> None:
    table = rows(200)
    jobs.put("parts/a/one.csv", as_csv(table[:100]))
    jobs.put("parts/b/c/two.csv", as_csv(table[100:]))
    job = jobs.good(channels={"train": f"s3://{BUCKET}/parts/"})
    assert any("200 rows and 3 columns" in line for line in jobs.log(job["TrainingJobName"]))


@pytest.mark.skipif(not Path("/dev/fuse").exists(), reason="this machine has no FUSE")
def test_channel_may_be_read_as_it_is_fetched(jobs: XGBoostJobs) -> None:
    fast = jobs.good(algorithm={"TrainingInputMode": "FastFile"})
    row = [[5.0, 2.0, 1.0]]
    assert jobs.predictions(fast, row) == jobs.predictions(jobs.good(), row)


def test_pipe_is_refused_as_by_aws(jobs: XGBoostJobs) -> None:
    assert jobs.reason(algorithm={"TrainingInputMode": "Pipe"}).startswith(
        "UserError: Pipe mode for CSV is no longer supported."
    )


def test_second_column_weighs_the_rows_when_asked_to(jobs: XGBoostJobs) -> None:
    """Rows that weigh nothing change nothing: what is left has one label."""
    table = [[7.0, 1.0, *row[1:]] for row in rows(50)] + [[0.0, 0.0, *r[1:]] for r in rows(50, 1)]
    uri = jobs.put("weighted/train.csv", as_csv(table))
    job = jobs.good({"csv_weights": "1", "num_round": "30"}, {"train": uri})
    assert jobs.predictions(job, [[5.0, 2.0, 1.0]]) == [pytest.approx(7.0, abs=0.05)]


def test_early_stopping_keeps_the_best_round(jobs: XGBoostJobs) -> None:
    noise = as_csv([[row[0] + (-1) ** i * 20, *row[1:]] for i, row in enumerate(rows(60))])
    asked = {"num_round": "500", "eval_metric": "rmse"}
    channels = {"train": jobs.put("noise/train.csv", noise), "validation": jobs.validation}
    job = jobs.good({**asked, "early_stopping_rounds": "3"}, channels)
    scores = [
        float(line.rsplit(":", 1)[1])
        for line in jobs.log(job["TrainingJobName"])
        if "validation-rmse" in line
    ]
    best = scores.index(min(scores))
    assert len(scores) == best + 4
    plain = jobs.good({**asked, "num_round": str(best + 1)}, channels)
    row = [[5.0, 2.0, 1.0]]
    assert jobs.predictions(job, row) == jobs.predictions(plain, row)


def test_objective_of_a_tuning_job_is_measured(jobs: XGBoostJobs) -> None:
    job = jobs.good(
        {"_tuning_objective_metric": "validation:mae"},
        {"train": jobs.train, "validation": jobs.validation},
    )
    assert "validation:mae" in jobs.metrics(job)


def test_several_hosts_train_one_model_on_the_data_of_all(jobs: XGBoostJobs) -> None:
    """Each host sees one half of the range of the first feature; the model knows both."""
    table = sorted(rows(400), key=lambda row: row[1])
    jobs.put("sharded/1.csv", as_csv(table[:200]))
    jobs.put("sharded/2.csv", as_csv(table[200:]))
    train = channel("train", f"s3://{BUCKET}/sharded/", ContentType="text/csv")
    train["DataSource"]["S3DataSource"]["S3DataDistributionType"] = "ShardedByS3Key"
    job = jobs.good({"num_round": "40"}, hosts=2, InputDataConfig=[train])
    assert list(jobs.model(job["TrainingJobName"])) == ["xgboost-model"]
    low, high = jobs.predictions(job, [[1.0, 2.0, 1.0], [9.0, 2.0, 1.0]])
    assert low == pytest.approx(0.0, abs=3) and high == pytest.approx(16.0, abs=3)
    rounds = [line for line in jobs.log(job["TrainingJobName"]) if line.startswith("[39]")]
    assert len(rounds) == 1
    assert len(jobs.streams(job["TrainingJobName"])) == 2


def test_host_without_data_is_left_out(jobs: XGBoostJobs) -> None:
    train = channel("train", jobs.train, ContentType="text/csv")
    train["DataSource"]["S3DataSource"]["S3DataDistributionType"] = "ShardedByS3Key"
    job = jobs.good(hosts=2, InputDataConfig=[train])
    log = jobs.log(job["TrainingJobName"])
    assert any("Host algo-2 is not used in distributed training" in line for line in log)
    assert list(jobs.model(job["TrainingJobName"])) == ["xgboost-model"]


def test_training_goes_on_from_the_last_checkpoint(jobs: XGBoostJobs) -> None:
    kept = {"CheckpointConfig": {"S3Uri": f"s3://{BUCKET}/checkpoints"}}
    jobs.good({"num_round": "7"}, **kept)
    numbers = sorted(int(key.rsplit(".", 1)[1]) for key in jobs.keys("checkpoints/"))
    assert numbers[-1] == 6
    job = jobs.good({"num_round": "10"}, **kept)
    lines = [line for line in jobs.log(job["TrainingJobName"]) if "train-rmse" in line]
    assert [line.split("#011")[0] for line in lines] == ["[7]", "[8]", "[9]"]
    again = jobs.good({"num_round": "10"})
    row = [[5.0, 2.0, 1.0]]
    assert jobs.predictions(job, row) == [pytest.approx(jobs.predictions(again, row)[0], rel=1e-4)]


def test_job_whose_checkpoints_are_complete_has_their_model(jobs: XGBoostJobs) -> None:
    kept = {"CheckpointConfig": {"S3Uri": f"s3://{BUCKET}/complete"}}
    asked = {"num_round": "5", "eval_metric": "rmse", "early_stopping_rounds": "2"}
    channels = {"train": jobs.train, "validation": jobs.validation}
    first, second = (jobs.good(asked, channels, **kept) for _ in range(2))
    row = [[5.0, 2.0, 1.0]]
    assert jobs.predictions(first, row) == jobs.predictions(second, row)


@pytest.mark.parametrize("saves", ["true", "false"])
def test_stopped_job_has_the_model_so_far_if_it_was_to_save_it(
    jobs: XGBoostJobs, saves: str
) -> None:
    name = jobs.begin({"num_round": "1000000", "save_model_on_termination": saves})
    wait_until(lambda: any(line.startswith("[3]") for line in jobs.log(name)), what="a round")
    jobs.stop(name)
    assert jobs.end(name)["TrainingJobStatus"] == "Stopped"
    assert list(jobs.model(name)) == (["xgboost-model"] if saves == "true" else [])


def test_script_mode_runs_the_script_of_the_request(jobs: XGBoostJobs) -> None:
    script = """
        import argparse, os, pandas, xgboost
        parser = argparse.ArgumentParser()
        parser.add_argument("--max_depth", type=int)
        depth = parser.parse_args().max_depth
        data = pandas.read_csv(os.environ["SM_CHANNEL_TRAIN"] + "/train.csv", header=None)
        matrix = xgboost.DMatrix(data.iloc[:, 1:].to_numpy(), data[0])
        booster = xgboost.train({"max_depth": depth}, matrix, 3, evals=[(matrix, "train")])
        booster.save_model(os.environ["SM_MODEL_DIR"] + "/xgboost-model")
    """
    code = jobs.put("source/mine.py", dedent(script))
    job = jobs.good(
        channels={"train": jobs.train, "code": code},
        HyperParameters={
            "sagemaker_program": json.dumps("mine.py"),
            "sagemaker_submit_directory": json.dumps("/opt/ml/input/data/code"),
            "max_depth": "2",
        },
    )
    log = jobs.log(job["TrainingJobName"])
    assert any(line.endswith("mine.py --max_depth 2") for line in log)
    assert any(line.startswith("[2]#011train-rmse:") for line in log)
    assert list(jobs.metrics(job)) == ["train:rmse"]
    assert len(jobs.predictions(job, [[5.0, 2.0, 1.0]])) == 1


def test_script_finds_the_modules_of_awss_image(jobs: XGBoostJobs) -> None:
    """As AWS's example of XGBoost on several hosts does, with a third that has no data."""
    script = """
        import os
        import sagemaker_containers, xgboost
        from sagemaker_containers import entry_point
        from sagemaker_xgboost_container import distributed
        from sagemaker_xgboost_container.data_utils import get_content_type, get_dmatrix

        env = sagemaker_containers.training_env()
        matrix = get_dmatrix(env.channel_input_dirs["train"], get_content_type("text/csv"))
        third = env.current_host == env.hosts[2]

        def train(rounds, is_master):
            booster = xgboost.train({}, matrix, rounds)
            print("trained", booster.num_boosted_rounds(), is_master, flush=True)
            if is_master:
                booster.save_model(env.model_dir + "/xgboost-model")

        entry_point._wait_hostname_resolution()
        distributed.rabit_run(
            train, {"rounds": env.hyperparameters["rounds"]}, include_in_training=not third,
            hosts=env.hosts, current_host=env.current_host, update_rabit_args=True,
        )
    """
    code = jobs.put("toolkit/mine.py", dedent(script))
    job = jobs.good(
        channels={"train": jobs.train, "code": code},
        hosts=3,
        HyperParameters={
            "sagemaker_program": "mine.py",
            "sagemaker_submit_directory": "/opt/ml/input/data/code",
            "rounds": "4",
        },
    )
    log = jobs.log(job["TrainingJobName"])
    said = sorted(line for line in log if line.startswith("trained"))
    assert said == ["trained 4 False", "trained 4 True"]
    assert list(jobs.model(job["TrainingJobName"])) == ["xgboost-model"]


@pytest.mark.parametrize(
    ("channels", "content_type", "reason"),
    [
        ({"validation": "validation"}, "text/csv", "UserError: Missing required channel: train"),
        (
            {"train": "train", "test": "train"},
            "text/csv",
            "UserError: Extraneous channel found: test",
        ),
        (
            {"train": "train"},
            "application/json",
            "UserError: Channel configuration for 'train' channel is not supported: "
            "{'ContentType': 'application/json', 'TrainingInputMode': 'File', "
            "'S3DistributionType': 'FullyReplicated', 'RecordWrapperType': 'None'}",
        ),
        (
            {"train": "train"},
            "application/x-recordio-protobuf",
            "UserError: sagestack does not read recordio-protobuf: use csv, libsvm or parquet",
        ),
    ],
)
def test_channel_that_does_not_fit_fails_the_job(
    jobs: XGBoostJobs, channels: dict[str, str], content_type: str, reason: str
) -> None:
    uris = {name: getattr(jobs, which) for name, which in channels.items()}
    assert jobs.reason(channels=uris, content_type=content_type) == reason


@pytest.mark.parametrize(
    ("body", "content_type", "reason"),
    [
        ("", "text/csv", "UserError: No data in training channel path /opt/ml/input/data/train"),
        (
            "1,2,3\n",
            None,
            "UserError: First line '1,2,3\n...' of file 'data' is not 'LIBSVM' format. Please "
            "ensure the file is in 'LIBSVM' format.",
        ),
        ("5\n", "text/csv", "UserError: Failed to load csv data with exception:\n"),
    ],
)
def test_data_that_can_not_be_read_fails_the_job(
    jobs: XGBoostJobs, body: str, content_type: str | None, reason: str
) -> None:
    uri = jobs.put("bad/data", body)
    assert jobs.reason(channels={"train": uri}, content_type=content_type).startswith(reason)


def test_hyperparameter_out_of_its_range_fails_the_job(jobs: XGBoostJobs) -> None:
    assert jobs.reason({"eta": "2.0"}) == "UserError: Hyperparameter eta: 2.0 is not in [0, 1]"


def test_label_the_objective_can_not_take_fails_the_job(jobs: XGBoostJobs) -> None:
    reason = jobs.reason({"objective": "binary:logistic", "base_score": "0.5"})
    assert reason.startswith("UserError: ")
    assert reason.endswith("label must be in [0,1] for logistic regression")


def test_header_is_warned_of(jobs: XGBoostJobs) -> None:
    uri = jobs.put("header/train.csv", "label,a,b,c\n" + as_csv(rows(50)))
    job = jobs.good(channels={"train": uri})
    log = jobs.log(job["TrainingJobName"])
    assert any("training data must not have a header" in line for line in log)


def test_job_completes_without_an_idle_process_to_fork_from(
    jobs: XGBoostJobs,
) -> None:
    """A variable that numerical libraries read at their start takes the cold way."""
    jobs.good(Environment={"OMP_NUM_THREADS": "1"})
