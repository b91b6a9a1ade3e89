"""Training jobs: channels that are missing, empty, or full of strange keys."""

import pytest

from tests.emulator.jobs import BUCKET, TrainingJobs, channel

DATA = f"s3://{BUCKET}/data"
INPUT = """
    import json, pathlib
    data = pathlib.Path("/opt/ml/input/data/x")
    print(json.dumps({str(p.relative_to(data)): p.read_text()
                      for p in data.rglob("*") if p.is_file()}))
"""


def reason_of(training: TrainingJobs, uri: str, **members: str) -> str:
    job = training.run("", channels=[channel("x", uri, **members)])
    assert training.status(job) == "Failed"
    reason: str = job["FailureReason"]
    return reason


def test_missing_bucket_is_named(training: TrainingJobs) -> None:
    assert reason_of(training, "s3://no-such-bucket/x") == (
        "ClientError: Data download failed:S3 bucket does not exist: no-such-bucket"
    )


def test_prefix_without_objects_is_named(training: TrainingJobs) -> None:
    reason = reason_of(training, f"{DATA}/none/")
    assert reason.startswith("ClientError: Data download failed:No S3 objects found under S3 URL")
    assert f"{DATA}/none/" in reason


def test_prefix_with_markers_of_folders_alone_is_empty(training: TrainingJobs) -> None:
    training.put("data/empty/", b"")
    assert "No S3 objects found" in reason_of(training, f"{DATA}/empty/")


@pytest.mark.parametrize("key", ["data/../escaped", "data/a/../../../escaped", "data/.."])
def test_key_can_not_leave_its_channel(training: TrainingJobs, key: str) -> None:
    training.put(key)
    assert "S3 key is not a path below its channel" in reason_of(training, f"{DATA}/")


def test_absolute_key_stays_in_its_channel(training: TrainingJobs) -> None:
    training.put("data//etc/passwd", "not yours")
    found = training.answer(INPUT, channels=[channel("x", f"{DATA}/")])
    assert found == {"etc/passwd": "not yours"}


@pytest.mark.parametrize("keys", [("a", "a/b"), ("a/b", "a/b/c/d")])
def test_key_that_is_an_object_and_a_folder_is_named(
    training: TrainingJobs, keys: tuple[str, str]
) -> None:
    for key in keys:
        training.put(f"data/{key}")
    reason = reason_of(training, f"{DATA}/")
    assert reason.startswith("ClientError: Data download failed:an S3 key is both")


def test_key_with_a_name_too_long_for_a_file_is_named(training: TrainingJobs) -> None:
    training.put(f"data/{'x' * 300}")
    assert reason_of(training, f"{DATA}/").startswith("ClientError: Data download failed:")


def test_keys_of_any_script_become_paths(training: TrainingJobs) -> None:
    keys = ["ünï/💥.csv", "with space.csv", "a=1/b='x'.csv", "-rf", "*"]
    for key in keys:
        training.put(f"data/{key}", key)
    found = training.answer(INPUT, channels=[channel("x", f"{DATA}/")])
    assert found == {key: key for key in keys}


def test_empty_object_is_a_file(training: TrainingJobs) -> None:
    training.put("data/empty.csv", b"")
    found = training.answer(INPUT, channels=[channel("x", f"{DATA}/")])
    assert found == {"empty.csv": ""}


def test_prefix_that_is_the_start_of_names_gives_them_all(training: TrainingJobs) -> None:
    for key in ("part-1", "part-2", "other"):
        training.put(f"data/{key}", key)
    found = training.answer(INPUT, channels=[channel("x", f"{DATA}/part")])
    assert found == {"part-1": "part-1", "part-2": "part-2"}


def test_script_that_is_not_in_its_channel_ends_the_job(training: TrainingJobs) -> None:
    job = training.run(
        "", algorithm={"ContainerEntrypoint": ["python3", "/opt/ml/input/data/code/other.py"]}
    )
    assert job["FailureReason"] == "AlgorithmError: , exit code: 2"
    assert "can't open file" in training.log(job["TrainingJobName"])[0]
