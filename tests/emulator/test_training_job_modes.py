"""Input modes of training jobs: Pipe and FastFile, manifests."""

from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path
from typing import Any

import pytest

from sagestack.aws.errors import ValidationException
from sagestack.engine.fast_file import why_unavailable
from tests.emulator.jobs import TrainingJobs

needs_fuse = pytest.mark.skipif(why_unavailable() is not None, reason=str(why_unavailable()))

READ_PIPE = """
import json
from pathlib import Path
print(json.dumps(Path("/opt/ml/input/data/train_0").read_bytes().decode("latin-1")))
"""


def channel(uri: str, *, data_type: str = "S3Prefix", **members: Any) -> dict[str, Any]:
    source = {"S3DataType": data_type, "S3Uri": uri}
    if names := members.pop("AttributeNames", None):
        source["AttributeNames"] = names
    return {"ChannelName": "train", "DataSource": {"S3DataSource": source}, **members}


def answer(training: TrainingJobs, script: str, data: dict[str, Any]) -> Any:
    request = training.request(script)
    request["InputDataConfig"].append(data)
    return training.answer(script, InputDataConfig=request["InputDataConfig"])


def test_pipe_streams_every_object_in_order(training: TrainingJobs) -> None:
    training.put("p/a.csv", "1\n")
    training.put("p/b.csv", "2\n")
    assert answer(training, READ_PIPE, channel("s3://lake/p/", InputMode="Pipe")) == "1\n2\n"


def test_pipe_has_a_fifo_for_each_epoch(training: TrainingJobs) -> None:
    training.put("p/a.csv", "once")
    script = """
    import json, os, time
    from pathlib import Path
    found = []
    for epoch in range(3):
        path = Path(f"/opt/ml/input/data/train_{epoch}")
        deadline = time.monotonic() + 10
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        found.append(path.read_text())
    print(json.dumps(found))
    """
    assert answer(training, script, channel("s3://lake/p/", InputMode="Pipe")) == ["once"] * 3


def test_pipe_unpacks_gzip_on_the_way(training: TrainingJobs) -> None:
    training.put("p/a.gz", gzip.compress(b"small again"))
    data = channel("s3://lake/p/", InputMode="Pipe", CompressionType="Gzip")
    assert answer(training, READ_PIPE, data) == "small again"


def test_pipe_wraps_objects_as_records(training: TrainingJobs) -> None:
    training.put("p/a.bin", "abcde")
    data = channel("s3://lake/p/", InputMode="Pipe", RecordWrapperType="RecordIO")
    stream = answer(training, READ_PIPE, data).encode("latin-1")
    magic, length = struct.unpack_from("<II", stream)
    assert (magic, length, stream[8:]) == (0xCED7230A, 5, b"abcde\0\0\0")


def test_pipe_that_is_never_read_does_not_keep_the_job(training: TrainingJobs) -> None:
    training.put("p/a.csv")
    data = channel("s3://lake/p/", InputMode="Pipe")
    assert answer(training, "print('{}')", data) == {}


def test_pipe_that_the_program_takes_away_does_not_keep_the_job(training: TrainingJobs) -> None:
    training.put("p/a.csv")
    script = "import os; os.remove('/opt/ml/input/data/train_0'); print('{}')"
    assert answer(training, script, channel("s3://lake/p/", InputMode="Pipe")) == {}


def test_pipe_stays_in_its_directory(training: TrainingJobs, tmp_path: Path) -> None:
    training.put("p/a.csv", "once")
    outside = tmp_path / "outside"
    outside.mkdir()
    script = f"""
    import json, os, time
    data, moved = "/opt/ml/input/data", "/opt/ml/input/moved"
    os.rename(data, moved)
    os.symlink({str(outside)!r}, data)
    found = open(f"{{moved}}/train_0").read()
    deadline = time.monotonic() + 10
    while not os.path.exists(f"{{moved}}/train_1") and time.monotonic() < deadline:
        time.sleep(0.01)
    print(json.dumps([found, os.path.exists(f"{{moved}}/train_1")]))
    """
    data = channel("s3://lake/p/", InputMode="Pipe")
    assert answer(training, script, data) == ["once", True]
    assert list(outside.iterdir()) == []


def test_pipe_is_not_written_through_a_link(training: TrainingJobs, tmp_path: Path) -> None:
    training.put("p/a.csv", "once")
    outside = tmp_path / "outside"
    outside.write_text("untouched")
    script = f"""
    import os
    fifo = "/opt/ml/input/data/train_0"
    os.remove(fifo)
    os.symlink({str(outside)!r}, fifo)
    print("{{}}")
    """
    assert answer(training, script, channel("s3://lake/p/", InputMode="Pipe")) == {}
    assert outside.read_text() == "untouched"


def test_augmented_manifest_streams_its_attributes_in_order(training: TrainingJobs) -> None:
    image = training.put("images/1.bin", "pixels")
    lines = [json.dumps({"source-ref": image, "label": 7})]
    uri = training.put("augmented.jsonl", "\n".join(lines))
    data = channel(
        uri,
        data_type="AugmentedManifestFile",
        InputMode="Pipe",
        AttributeNames=["source-ref", "label"],
    )
    assert answer(training, READ_PIPE, data) == "pixels7"


def test_manifest_names_the_objects(training: TrainingJobs) -> None:
    for name in ("a", "b", "c"):
        training.put(f"many/{name}.csv")
    uri = training.put(
        "list.manifest", json.dumps([{"prefix": "s3://lake/many/"}, "a.csv", "c.csv"])
    )
    script = """
    import json, os
    print(json.dumps(sorted(os.listdir("/opt/ml/input/data/train"))))
    """
    assert answer(training, script, channel(uri, data_type="ManifestFile")) == ["a.csv", "c.csv"]


def test_manifest_that_names_what_is_not_there_fails_the_job(training: TrainingJobs) -> None:
    uri = training.put("list.manifest", json.dumps([{"prefix": "s3://lake/many/"}, "gone.csv"]))
    request = training.request("")
    request["InputDataConfig"].append(channel(uri, data_type="ManifestFile"))
    job = training.run("", InputDataConfig=request["InputDataConfig"])
    assert job["FailureReason"].startswith("ClientError: Data download failed:")
    assert "gone.csv" in job["FailureReason"]


@needs_fuse
def test_fast_file_shows_a_tree_that_is_read_only(training: TrainingJobs) -> None:
    training.put("deep/x.txt", "x" * 10_000)
    training.put("deep/sub/y.txt", "y")
    script = """
    import json, os
    root = "/opt/ml/input/data/train"
    found = {
        "files": sorted(os.path.relpath(os.path.join(d, f), root)
                        for d, _, names in os.walk(root) for f in names),
        "x": len(open(f"{root}/x.txt").read()),
        "y": open(f"{root}/sub/y.txt").read(),
    }
    try:
        open(f"{root}/new", "w")
    except OSError as error:
        found["write"] = error.strerror
    print(json.dumps(found))
    """
    assert answer(training, script, channel("s3://lake/deep/", InputMode="FastFile")) == {
        "files": ["sub/y.txt", "x.txt"],
        "x": 10_000,
        "y": "y",
        "write": "Read-only file system",
    }


@needs_fuse
def test_fast_file_fetches_nothing_that_is_not_read(
    training: TrainingJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sagestack.boto_host import BotoSession

    fetched: list[str] = []
    read_range = BotoSession.read_range

    def counted(self: BotoSession, bucket: str, key: str, start: int, size: int) -> bytes:
        fetched.append(key)
        return read_range(self, bucket, key, start, size)

    monkeypatch.setattr(BotoSession, "read_range", counted)
    training.put("lazy/wanted.txt", "w")
    training.put("lazy/unwanted.txt", "u" * 100_000)
    script = "print(open('/opt/ml/input/data/train/wanted.txt').read() and '{}')"
    answer(training, script, channel("s3://lake/lazy/", InputMode="FastFile"))
    assert set(fetched) == {"lazy/wanted.txt"}


def test_fast_file_is_refused_where_the_machine_lacks_it(
    training: TrainingJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sagestack.engine.fast_file.DEVICE", "/dev/nothing")
    request = training.request("")
    request["InputDataConfig"].append(channel("s3://lake/p/", InputMode="FastFile"))
    with pytest.raises(ValidationException, match="there is no /dev/nothing"):
        training.create("", InputDataConfig=request["InputDataConfig"])


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"CompressionType": "Gzip"}, "Pipe mode only"),
        ({"RecordWrapperType": "RecordIO"}, "Pipe mode only"),
        ({"data_type": "ManifestFile", "InputMode": "FastFile"}, "FastFile mode supports S3Prefix"),
        ({"data_type": "AugmentedManifestFile", "InputMode": "Pipe"}, "AttributeNames is required"),
        ({"AttributeNames": ["a"]}, "AttributeNames is required with, and only with"),
    ],
)
def test_combination_that_means_nothing_is_refused(
    training: TrainingJobs, members: dict[str, Any], message: str
) -> None:
    request = training.request("")
    request["InputDataConfig"].append(channel("s3://lake/p/", **members))
    with pytest.raises(ValidationException, match=message):
        training.create("", InputDataConfig=request["InputDataConfig"])
