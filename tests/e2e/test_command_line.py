"""`sagestack up | down | status | logs` on instances of their own."""

from __future__ import annotations

import ipaddress
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.e2e.conftest import training_on
from tests.e2e.live import BIN, Live, alive
from tests.emulator.jobs import TrainingJobs
from tests.waiting import wait_until

PAUSE = "import signal; print('begun', flush=True); signal.pause()"


def listening(process: psutil.Process) -> set[str]:
    """Addresses at which a process and its children listen."""
    family = [process, *process.children(recursive=True)]
    return {
        connection.laddr.ip
        for member in family
        for connection in member.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }


def test_instance_listens_on_the_loopback_alone(live: Live, training: TrainingJobs) -> None:
    training.run("")  # with everything begun that a job begins
    addresses = listening(live.process())
    assert addresses, "it listens"
    assert all(ipaddress.ip_address(address).is_loopback for address in addresses), addresses


def test_status_tells_what_runs(live: Live, training: TrainingJobs) -> None:
    name = training.create(PAUSE)
    training.wait_for_line(name, "begun")
    before = live.status()
    assert before["up"] is True
    assert before["endpoint_url"] == live.endpoint_url
    assert before["records"]["training-job"]["InProgress"] >= 1
    assert before["running"] >= 1
    assert "sagemaker-scikit-learn" in {r for i in before["images"] for r in i["repositories"]}
    training.stop(name)
    training.end(name)
    assert "InProgress" not in live.status()["records"]["training-job"]


def test_status_as_a_table_names_the_log(live: Live) -> None:
    done = live.sagestack("status")
    assert done.returncode == 0
    assert str(live.home / "instances" / str(live.port) / "server.log") in done.stdout


def test_status_of_nothing_is_no_success(another: Live) -> None:
    done = another.sagestack("status", "--json")
    assert done.returncode == 1
    assert '"up": false' in done.stdout


def test_up_twice_is_up(live: Live) -> None:
    done = live.sagestack("up")
    assert (done.returncode, live.endpoint_url in done.stdout) == (0, True)


def test_taken_port_is_named(live: Live, tmp_path: Path) -> None:
    """Another home does not know whose port it is."""
    stranger = Live(tmp_path)
    stranger.port = live.port
    (tmp_path / "environments").symlink_to(live.home / "environments")
    done = stranger.sagestack("up")
    assert done.returncode == 1
    assert f"port {live.port} can't be listened on" in done.stderr
    assert live.status()["up"] is True


def test_logs_of_a_job_that_ended(live: Live, training: TrainingJobs) -> None:
    name = training.run("print('one'); print('two')")["TrainingJobName"]
    done = live.sagestack("logs", "training-job", name)
    assert done.stdout.splitlines() == ["one", "two"]


def test_logs_follow_a_job_to_its_end(live: Live, training: TrainingJobs) -> None:
    name = training.create("""
        import signal
        signal.signal(signal.SIGTERM, lambda *_: print("last", flush=True))
        print("first", flush=True)
        signal.pause()
    """)
    follower = subprocess.Popen(
        [
            *(str(BIN / "sagestack"), "logs", "training-job", name, "--follow"),
            *("--port", str(live.port)),
        ],
        stdout=subprocess.PIPE,
        text=True,
        env=live.environment(),
    )
    assert follower.stdout is not None
    assert follower.stdout.readline() == "first\n", "while the job runs"
    training.stop(name)
    assert follower.stdout.read() == "last\n"
    assert follower.wait(20) == 0


def test_logs_of_nobody_are_an_error(live: Live) -> None:
    done = live.sagestack("logs", "training-job", "nobody")
    assert done.returncode == 1
    assert "training-job nobody has logged nothing" in done.stderr


def test_down_ends_everything_that_was_started(another: Live) -> None:
    another.up()
    training = training_on(another)
    name = training.create(PAUSE)
    training.wait_for_line(name, "begun")
    server = another.process()
    family = [server, *server.children(recursive=True)]
    assert len(family) > 2, "the job's processes are its children"
    assert another.sagestack("down").returncode == 0
    assert [member for member in family if alive(member)] == []
    assert "is not up" in another.sagestack("down").stdout


def test_two_instances_do_not_disturb_each_other(live: Live, another: Live) -> None:
    another.up()
    one, two = training_on(live), training_on(another)
    for training, word in ((one, "one"), (two, "two")):
        training.create(f"print('{word}')", TrainingJobName="same")
    for training, word in ((one, "one"), (two, "two")):
        assert training.status(training.end("same")) == "Completed"
        assert training.log("same") == [word]
    another.down()
    assert one.status(one.describe("same")) == "Completed"


def test_bucket_of_one_name_is_each_instances_own(live: Live, another: Live) -> None:
    another.up()
    one, two = training_on(live).s3, training_on(another).s3
    large = bytes(4 * 1024**2)  # past what LocalStack keeps in memory
    for s3 in (one, two):
        s3.create_bucket(Bucket="of-one-name")
        s3.put_object(Bucket="of-one-name", Key="object", Body=large)
    two.delete_object(Bucket="of-one-name", Key="object")
    two.delete_bucket(Bucket="of-one-name")
    one.put_object(Bucket="of-one-name", Key="second", Body=large)
    another.down()
    for key in ("object", "second"):
        assert one.get_object(Bucket="of-one-name", Key=key)["Body"].read() == large


def test_foreground_ends_with_an_interrupt(another: Live) -> None:
    process = subprocess.Popen(
        [str(BIN / "sagestack"), "up", "--foreground", "--port", str(another.port)],
        stdout=subprocess.DEVNULL,
        env=another.environment(),
    )
    wait_until(lambda: another.status()["up"], 60, "the server's start")
    server = another.process()
    process.terminate()
    assert process.wait(30) == 0
    assert not alive(server)


@pytest.mark.parametrize("command", ["up", "down", "status", "logs"])
def test_help_is_there(live: Live, command: str) -> None:
    done = subprocess.run(
        [str(BIN / "sagestack"), command, "--help"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "Usage:" in done.stdout) == (0, True)
