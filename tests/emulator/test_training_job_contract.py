"""Training jobs: what a program finds in its container, and what becomes of what it leaves.

Source: contract, sections 1.2 to 1.6.
"""

from tests.emulator.jobs import ACCOUNT, BUCKET, REGION, ROLE, TrainingJobs, channel

CONFIG = """
    import json, pathlib
    config = pathlib.Path("/opt/ml/input/config")
    print(json.dumps({p.name: json.loads(p.read_text()) for p in config.iterdir()}))
"""
VARIABLES = """
    import json, os
    print(json.dumps(dict(os.environ)))
"""
INPUT = """
    import json, pathlib
    data = pathlib.Path("/opt/ml/input/data")
    print(json.dumps(sorted(str(p.relative_to(data)) for p in data.rglob("*") if p.is_file())))
"""


def arn(name: str) -> str:
    return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/{name}"


def files_of(training: TrainingJobs, *channels: dict) -> list[str]:
    found = training.answer(INPUT, channels=channels)
    return [path for path in found if not path.startswith("code/")]


def test_configuration_files_hold_what_the_contract_says(training: TrainingJobs) -> None:
    uri = training.put("data/train/a.csv")
    config = training.answer(
        CONFIG,
        HyperParameters={"epochs": "3", "list": "[1, 2]"},
        channels=[channel("train", uri, ContentType="text/csv")],
    )
    group = {"instance_group_name": "homogeneousCluster", "instance_type": "ml.m5.large"}
    assert config == {
        "hyperparameters.json": {"epochs": "3", "list": "[1, 2]"},
        "inputdataconfig.json": {
            "code": {
                "TrainingInputMode": "File",
                "S3DistributionType": "FullyReplicated",
                "RecordWrapperType": "None",
            },
            "train": {
                "ContentType": "text/csv",
                "TrainingInputMode": "File",
                "S3DistributionType": "FullyReplicated",
                "RecordWrapperType": "None",
            },
        },
        "resourceconfig.json": {
            "current_host": "algo-1",
            "current_instance_type": "ml.m5.large",
            "current_group_name": "homogeneousCluster",
            "hosts": ["algo-1"],
            "instance_groups": [group | {"hosts": ["algo-1"]}],
            "network_interface_name": "lo",
        },
    }


def test_hyperparameters_file_is_there_for_a_job_without_any(training: TrainingJobs) -> None:
    assert training.answer(CONFIG)["hyperparameters.json"] == {}


def test_program_has_its_job_its_role_and_the_requested_variables(training: TrainingJobs) -> None:
    variables = training.answer(
        VARIABLES, TrainingJobName="env", Environment={"FOO": "bär", "EMPTY": ""}
    )
    assert variables["TRAINING_JOB_NAME"] == "env"
    assert variables["TRAINING_JOB_ARN"] == arn("env")
    assert (variables["FOO"], variables["EMPTY"]) == ("bär", "")
    assert variables["AWS_REGION"] == variables["AWS_DEFAULT_REGION"] == REGION


def test_program_has_the_credentials_of_its_role_alone(training: TrainingJobs) -> None:
    variables = training.answer(VARIABLES)
    iam = training.context.aws.client("sts")  # type: ignore[attr-defined]
    assert variables["AWS_ACCESS_KEY_ID"].startswith(("ASIA", "LSIA"))
    assert variables["AWS_SESSION_TOKEN"]
    caller = iam.get_caller_identity()["Arn"]
    assert variables["AWS_ACCESS_KEY_ID"] not in caller


def test_program_does_not_have_the_servers_environment(training: TrainingJobs, monkeypatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SERVER", "1")
    variables = training.answer(VARIABLES)
    known = {
        "PATH",
        "HOME",
        "LANG",
        "OMP_WAIT_POLICY",
        "LC_CTYPE",
        "PYTHONUNBUFFERED",
        "VIRTUAL_ENV",
    }
    prefixes = ("AWS_", "TRAINING_JOB_")
    assert {name for name in variables if not name.startswith(prefixes)} <= known


def test_program_can_write_where_it_must(training: TrainingJobs) -> None:
    """Source of the places: sagemaker-sdk.md, section 2."""
    script = """
        import os, json
        places = ["model", "output", "output/data", "input", "input/data/code", "code"]
        print(json.dumps([p for p in places if not os.access("/opt/ml/" + p, os.W_OK)]))
    """
    assert training.answer(script) == []


def test_host_names_of_the_job_resolve(training: TrainingJobs) -> None:
    script = """
        import json, socket
        print(json.dumps([socket.gethostname(), socket.gethostbyname("algo-1")]))
    """
    assert training.answer(script) == ["algo-1", "127.0.0.1"]


def test_standard_input_is_empty(training: TrainingJobs) -> None:
    assert training.answer("import sys, json; print(json.dumps(sys.stdin.read()))") == ""


def test_prefix_with_a_slash_gives_the_paths_below_it(training: TrainingJobs) -> None:
    training.put("data/train/a.csv")
    training.put("data/train/deep/b.csv")
    training.put("data/training.csv")
    found = files_of(training, channel("train", f"s3://{BUCKET}/data/train/"))
    assert found == ["train/a.csv", "train/deep/b.csv"]


def test_prefix_without_a_slash_gives_the_same_paths(training: TrainingJobs) -> None:
    training.put("data/train/a.csv")
    training.put("data/train/deep/b.csv")
    found = files_of(training, channel("train", f"s3://{BUCKET}/data/train"))
    assert found == ["train/a.csv", "train/deep/b.csv"]


def test_single_object_keeps_its_name(training: TrainingJobs) -> None:
    uri = training.put("data/only.csv")
    assert files_of(training, channel("train", uri)) == ["train/only.csv"]


def test_whole_bucket_can_be_a_channel(training: TrainingJobs) -> None:
    session = training.context.aws
    training.s3.create_bucket(Bucket="whole")
    session.put_object("whole", "a/b.csv", b"")
    assert files_of(training, channel("train", "s3://whole")) == ["train/a/b.csv"]


def test_marker_objects_of_folders_are_no_files(training: TrainingJobs) -> None:
    training.put("data/train/", b"")
    training.put("data/train/a.csv")
    found = files_of(training, channel("train", f"s3://{BUCKET}/data/train/"))
    assert found == ["train/a.csv"]


def test_model_archive_holds_the_model_directory_without_a_leading_one(
    training: TrainingJobs,
) -> None:
    job = training.run("""
        import pathlib
        model = pathlib.Path("/opt/ml/model")
        (model / "deep").mkdir()
        (model / "model.bin").write_bytes(bytes(range(256)))
        (model / "deep/ünï.txt").write_text("x")
    """)
    name = job["TrainingJobName"]
    uri = f"s3://{BUCKET}/out/{name}/output/model.tar.gz"
    assert job["ModelArtifacts"] == {"S3ModelArtifacts": uri}
    assert training.model(name) == {"model.bin": bytes(range(256)), "deep/ünï.txt": b"x"}


def test_model_archive_is_there_for_a_job_that_made_no_model(training: TrainingJobs) -> None:
    job = training.run("")
    assert training.model(job["TrainingJobName"]) == {}


def test_output_data_becomes_an_archive_of_its_own(training: TrainingJobs) -> None:
    job = training.run('open("/opt/ml/output/data/plot.txt", "w").write("p")')
    assert training.keys(f"out/{job['TrainingJobName']}/") == [
        f"out/{job['TrainingJobName']}/output/model.tar.gz",
        f"out/{job['TrainingJobName']}/output/output.tar.gz",
    ]


def test_no_output_archive_without_output_data(training: TrainingJobs) -> None:
    name = training.run("")["TrainingJobName"]
    assert training.keys(f"out/{name}/") == [f"out/{name}/output/model.tar.gz"]


def test_output_path_may_end_with_a_slash(training: TrainingJobs) -> None:
    job = training.run("", OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/slash/"})
    assert training.keys("slash/") == [f"slash/{job['TrainingJobName']}/output/model.tar.gz"]


def test_compression_none_leaves_the_files_as_they_are(training: TrainingJobs) -> None:
    job = training.run(
        'open("/opt/ml/model/m.txt", "w").write("m")',
        OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/plain", "CompressionType": "NONE"},
    )
    uri = job["ModelArtifacts"]["S3ModelArtifacts"]
    key = uri.removeprefix(f"s3://{BUCKET}/") + "m.txt"
    assert training.get(key) == b"m"


def test_describe_answers_what_was_asked_and_nothing_empty(training: TrainingJobs) -> None:
    job = training.run("", HyperParameters={"a": "1"}, Tags=[{"Key": "k", "Value": "v"}])
    assert job["TrainingJobArn"] == arn(job["TrainingJobName"])
    assert job["RoleArn"] == ROLE
    assert job["HyperParameters"] == {"a": "1"}
    assert "Tags" not in job
    assert [member for member, value in job.items() if value in ({}, [], None)] == []


def test_describe_has_the_times_of_a_job_that_ended(training: TrainingJobs) -> None:
    job = training.run("")
    times = [
        job[member]
        for member in ("CreationTime", "TrainingStartTime", "TrainingEndTime", "LastModifiedTime")
    ]
    assert times == sorted(times)
    assert job["TrainingTimeInSeconds"] == job["BillableTimeInSeconds"] >= 1


def test_workspace_is_gone_when_the_job_has_ended(training: TrainingJobs) -> None:
    training.run(
        "import os; open('/opt/ml/model/m', 'w'); open('/tmp/t', 'w'); "
        "open(os.path.expanduser('~/h'), 'w')"
    )
    jobs = training.context.instance.directory / "jobs"
    training.context.instance.executor.close(10)
    assert list(jobs.iterdir()) == []
