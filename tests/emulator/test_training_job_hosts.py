"""Several hosts of one training job."""

from __future__ import annotations

import io
import socket
import tarfile
from typing import Any

import pytest

from sagestack.aws.errors import ValidationException
from tests.emulator.jobs import TrainingJobs

TWO = {"InstanceType": "ml.m5.large", "InstanceCount": 2, "VolumeSizeInGB": 1}
REPORT = """
import json, os
from pathlib import Path
host = json.loads(Path("/opt/ml/input/config/resourceconfig.json").read_text())
name = host["current_host"]
Path(f"/opt/ml/model/{name}.json").write_text(json.dumps({
    "host": host,
    "hostname": os.uname().nodename,
    "train": sorted(p.name for p in Path("/opt/ml/input/data/train").glob("*"))
        if Path("/opt/ml/input/data/train").exists() else None,
}))
"""


def channel(training: TrainingJobs, **source: Any) -> dict[str, Any]:
    for number in range(5):
        training.put(f"parts/{number}.csv")
    return {
        "ChannelName": "train",
        "DataSource": {
            "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://lake/parts/", **source}
        },
    }


def reports(training: TrainingJobs, job: dict[str, Any]) -> dict[str, Any]:
    """What each host wrote into the one model archive."""
    import json

    uri = job["ModelArtifacts"]["S3ModelArtifacts"]
    archive = training.get(uri.removeprefix("s3://lake/"))
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {
            member.name.removesuffix(".json"): json.load(tar.extractfile(member))  # type: ignore[arg-type]
            for member in tar.getmembers()
        }


def run(training: TrainingJobs, script: str, *channels: dict[str, Any], **members: Any) -> Any:
    request = training.request(script, **members)
    request["InputDataConfig"] += channels
    training.context.call("sagemaker", "CreateTrainingJob", request)
    return training.end(request["TrainingJobName"])


def test_each_host_knows_itself_and_the_others(training: TrainingJobs) -> None:
    found = reports(training, run(training, REPORT, ResourceConfig=TWO))
    assert sorted(found) == ["algo-1", "algo-2"]
    for name, report in found.items():
        assert report["host"]["current_host"] == report["hostname"] == name
        assert report["host"]["hosts"] == ["algo-1", "algo-2"]


def test_sharded_hosts_share_nothing_and_have_all(training: TrainingJobs) -> None:
    data = channel(training, S3DataDistributionType="ShardedByS3Key")
    found = reports(training, run(training, REPORT, data, ResourceConfig=TWO))
    first, second = (set(found[name]["train"]) for name in ("algo-1", "algo-2"))
    assert not first & second
    assert first | second == {f"{number}.csv" for number in range(5)}


def test_replicated_hosts_have_all_of_it(training: TrainingJobs) -> None:
    found = reports(training, run(training, REPORT, channel(training), ResourceConfig=TWO))
    assert found["algo-1"]["train"] == found["algo-2"]["train"]
    assert len(found["algo-1"]["train"]) == 5


def test_instance_groups_number_their_hosts_through_and_choose_channels(
    training: TrainingJobs,
) -> None:
    groups = [
        {"InstanceGroupName": "data", "InstanceType": "ml.c5.xlarge", "InstanceCount": 1},
        {"InstanceGroupName": "fit", "InstanceType": "ml.m5.large", "InstanceCount": 1},
    ]
    data = channel(training, InstanceGroupNames=["fit"])
    job = run(
        training, REPORT, data, ResourceConfig={"InstanceGroups": groups, "VolumeSizeInGB": 1}
    )
    found = reports(training, job)
    assert found["algo-1"]["host"]["current_group_name"] == "data"
    assert found["algo-2"]["host"]["current_instance_type"] == "ml.m5.large"
    assert found["algo-1"]["train"] is None
    assert len(found["algo-2"]["train"]) == 5


@pytest.mark.parametrize("isolated", [False, True])
def test_hosts_reach_each_other_by_name_on_the_same_port(
    training: TrainingJobs, isolated: bool
) -> None:
    script = """
    import json, os, socket, sys, time
    from pathlib import Path
    me = os.uname().nodename
    listener = socket.create_server((me, 7777))
    other = {"algo-1": "algo-2", "algo-2": "algo-1"}[me]
    deadline = time.monotonic() + 10
    while True:
        try:
            connection = socket.create_connection((other, 7777))
            break
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
    connection.sendall(me.encode())
    accepted, _ = listener.accept()
    heard = accepted.recv(100).decode()
    Path(f"/opt/ml/model/{me}.json").write_text(json.dumps(heard))
    """
    job = run(training, script, ResourceConfig=TWO, EnableNetworkIsolation=isolated)
    assert reports(training, job) == {"algo-1": "algo-2", "algo-2": "algo-1"}


def test_isolated_hosts_reach_nobody_else(training: TrainingJobs) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        script = f"""
        import json, os, socket
        from pathlib import Path
        try:
            socket.create_connection({server.getsockname()!r}, timeout=5)
            reached = True
        except OSError:
            reached = False
        found = [reached, [name for _, name in socket.if_nameindex()]]
        Path(f"/opt/ml/model/{{os.uname().nodename}}.json").write_text(json.dumps(found))
        """
        job = run(training, script, ResourceConfig=TWO, EnableNetworkIsolation=True)
    assert reports(training, job) == {"algo-1": [False, ["lo"]], "algo-2": [False, ["lo"]]}


def test_host_that_fails_ends_the_job_with_its_reason(training: TrainingJobs) -> None:
    script = """
    import os, sys, time
    from pathlib import Path
    if os.uname().nodename == "algo-2":
        Path("/opt/ml/output/failure").write_text("the second host gave up")
        sys.exit(4)
    time.sleep(60)
    """
    job = run(training, script, ResourceConfig=TWO)
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"] == "AlgorithmError: the second host gave up, exit code: 4"


def test_each_host_has_a_log_stream(training: TrainingJobs) -> None:
    job = run(training, "print('hello')", ResourceConfig=TWO)
    streams = training.streams(job["TrainingJobName"])
    hosts = sorted(stream.split("/")[1].rsplit("-", 1)[0] for stream in streams)
    assert hosts == ["algo-1", "algo-2"]


def test_more_hosts_than_a_machine_is_asked_for_are_refused(training: TrainingJobs) -> None:
    with pytest.raises(ValidationException, match="17 instances"):
        training.create("", ResourceConfig=TWO | {"InstanceCount": 17})
