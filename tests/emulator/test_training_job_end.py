"""Training jobs: the ways one ends, and what Describe says of it. Source: contract, 1.6, 1.7."""

import time

import pytest

from sagestack.aws.errors import ValidationException
from tests.emulator.jobs import BUCKET, TrainingJobs, channel
from tests.waiting import wait_until

PAUSE = "import signal; print('begun', flush=True); signal.pause()"
SAVE = """
    import signal, sys
    def save(*_):
        open("/opt/ml/model/saved", "w").close()
        sys.exit(0)
    signal.signal(signal.SIGTERM, save)
    print("begun", flush=True)
    signal.pause()
"""


def statuses(job: dict) -> list[str]:
    return [transition["Status"] for transition in job["SecondaryStatusTransitions"]]


def test_completed_job_went_through_every_status(training: TrainingJobs) -> None:
    job = training.run("")
    assert statuses(job) == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert [t["StatusMessage"] for t in job["SecondaryStatusTransitions"]] == [
        "Starting the training job",
        "Downloading input data",
        "Training image download completed. Training in progress.",
        "Uploading generated training model",
        "Training job completed",
    ]
    ends = [t["EndTime"] for t in job["SecondaryStatusTransitions"]]
    starts = [t["StartTime"] for t in job["SecondaryStatusTransitions"]]
    assert starts[1:] == ends[:-1], "one status ends where the next begins"


def test_exit_code_is_the_reason(training: TrainingJobs) -> None:
    job = training.run("raise SystemExit(7)")
    assert job["FailureReason"] == "AlgorithmError: , exit code: 7"
    assert statuses(job)[-1] == job["SecondaryStatus"] == "Failed"
    assert "ModelArtifacts" not in job


def test_failure_file_is_the_reason(training: TrainingJobs) -> None:
    job = training.run(
        "open('/opt/ml/output/failure', 'w').write('no rows: ü'); raise SystemExit(1)"
    )
    assert job["FailureReason"] == "AlgorithmError: no rows: ü, exit code: 1"


def test_long_failure_file_is_cut(training: TrainingJobs) -> None:
    job = training.run(
        "open('/opt/ml/output/failure', 'w').write('x' * 10_000_000); raise SystemExit(1)"
    )
    assert len(job["FailureReason"]) == 1024


def test_failure_file_that_is_a_link_is_not_followed(training: TrainingJobs) -> None:
    job = training.run(
        "import os; os.symlink('/etc/passwd', '/opt/ml/output/failure'); raise SystemExit(1)"
    )
    assert job["FailureReason"] == "AlgorithmError: , exit code: 1"


def test_failed_job_keeps_its_output_data(training: TrainingJobs) -> None:
    name = training.run("open('/opt/ml/output/data/x', 'w').close(); raise SystemExit(1)")[
        "TrainingJobName"
    ]
    assert training.keys(f"out/{name}/") == [f"out/{name}/output/output.tar.gz"]


def test_killed_program_fails_with_the_signal(training: TrainingJobs) -> None:
    job = training.run("import os; os.kill(os.getpid(), 9)")
    assert job["FailureReason"] == "AlgorithmError: , exit code: 137"


@pytest.mark.parametrize("place", ["model", "output/data", "output"])
def test_directory_replaced_by_a_link_is_not_followed(training: TrainingJobs, place: str) -> None:
    """It would be followed with the rights of the server."""
    job = training.run(f"""
        import os, shutil
        shutil.rmtree("/opt/ml/{place}")
        os.symlink("/etc", "/opt/ml/{place}")
    """)
    assert training.status(job) == "Failed"
    assert job["FailureReason"].startswith("ClientError: /opt/ml/")


def test_fifo_in_the_model_is_left_out(training: TrainingJobs) -> None:
    job = training.run("import os; os.mkfifo('/opt/ml/model/f'); open('/opt/ml/model/m', 'w')")
    assert training.model(job["TrainingJobName"]) == {"m": b""}


def test_stop_lets_the_program_save_its_model(training: TrainingJobs) -> None:
    name = training.create(SAVE)
    training.wait_for_line(name, "begun")
    training.stop(name)
    assert training.describe(name)["TrainingJobStatus"] in ("Stopping", "Stopped")
    job = training.end(name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert statuses(job)[-2:] == ["Stopping", "Stopped"]
    assert training.model(name) == {"saved": b""}


def test_program_that_ignores_a_stop_is_killed(training: TrainingJobs) -> None:
    name = training.create(f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {PAUSE}")
    training.wait_for_line(name, "begun")
    training.stop(name)
    assert training.status(training.end(name)) == "Stopped"


def test_stop_twice_is_a_stop(training: TrainingJobs) -> None:
    name = training.create(PAUSE)
    training.wait_for_line(name, "begun")
    training.stop(name)
    training.stop(name)
    assert training.status(training.end(name)) == "Stopped"


@pytest.mark.parametrize(
    ("script", "status"), [("", "Completed"), ("raise SystemExit(1)", "Failed")]
)
def test_ended_job_can_not_be_stopped(training: TrainingJobs, script: str, status: str) -> None:
    name = training.run(script)["TrainingJobName"]
    with pytest.raises(ValidationException) as raised:
        training.stop(name)
    assert raised.value.message == (
        f"The request was rejected because the training job is in status {status}."
    )


def test_job_that_takes_too_long_is_stopped(training: TrainingJobs) -> None:
    job = training.run(SAVE, StoppingCondition={"MaxRuntimeInSeconds": 1})
    assert job["TrainingJobStatus"] == "Stopped"
    assert job["SecondaryStatus"] == statuses(job)[-1] == "MaxRuntimeExceeded"
    assert "FailureReason" not in job
    assert training.model(job["TrainingJobName"]) == {"saved": b""}


def test_jobs_beyond_the_slots_wait_their_turn(training: TrainingJobs) -> None:
    first, second = training.create(PAUSE), training.create(PAUSE)
    third = training.create("")
    training.wait_for_line(first, "begun")
    training.wait_for_line(second, "begun")
    assert training.describe(third)["SecondaryStatus"] == "Starting"
    training.stop(first)
    assert training.status(training.end(third)) == "Completed"
    training.stop(second)


def test_queued_job_is_stopped_at_once(training: TrainingJobs) -> None:
    running = [training.create(PAUSE), training.create(PAUSE)]
    queued = training.create("open('/opt/ml/model/ran', 'w')")
    training.stop(queued)
    job = training.end(queued)
    assert statuses(job) == ["Starting", "Stopping", "Stopped"]
    assert "TrainingStartTime" not in job
    assert "ModelArtifacts" not in job
    for name in running:
        training.stop(name)


def test_stop_while_the_input_comes_does_not_wait_for_all_of_it(
    training: TrainingJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        training.put(f"data/{number}")
    session = type(training.context.aws)
    get, brought = session.download, []

    def download(aws: object, bucket: str, key: str, path: object) -> None:
        brought.append(key)
        wait_until(lambda: training.describe(name)["TrainingJobStatus"] == "Stopping")
        get(aws, bucket, key, path)

    name = "stopped-early"
    request = training.request(
        "", TrainingJobName=name, channels=[channel("x", f"s3://{BUCKET}/data/")]
    )
    monkeypatch.setattr(session, "download", download)
    training.context.call("sagemaker", "CreateTrainingJob", request)
    wait_until(lambda: brought)
    training.stop(name)
    job = training.end(name)
    assert statuses(job) == ["Starting", "Downloading", "Stopping", "Stopped"]
    assert len(brought) < 20


def test_children_left_behind_do_not_hold_the_job(training: TrainingJobs) -> None:
    begun = time.monotonic()
    job = training.run("""
        import subprocess, sys
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    """)
    assert training.status(job) == "Completed"
    assert time.monotonic() - begun < 15


def test_crash_of_one_job_does_not_touch_another(training: TrainingJobs) -> None:
    steady = training.create("import time; time.sleep(0.5); print('alive')")
    training.run("import ctypes; ctypes.string_at(0)")
    assert training.status(training.end(steady)) == "Completed"


def test_missing_output_bucket_fails_the_job(training: TrainingJobs) -> None:
    job = training.run("", OutputDataConfig={"S3OutputPath": "s3://no-such-bucket/x"})
    assert job["FailureReason"] == "ClientError: S3 bucket does not exist: no-such-bucket"


def test_workspace_that_can_not_be_made_fails_the_job(training: TrainingJobs) -> None:
    training.context.instance.directory.mkdir(parents=True)
    (training.context.instance.directory / "jobs").write_text("a file in its place")
    job = training.run("")
    assert training.status(job) == "Failed"
    assert job["FailureReason"].startswith("InternalServerError: ")


def test_input_that_is_gone_fails_the_job_before_it_runs(training: TrainingJobs) -> None:
    job = training.run("", channels=[channel("x", f"s3://{BUCKET}/gone/")])
    assert training.status(job) == "Failed"
    assert job["FailureReason"].startswith("ClientError: Data download failed:No S3 objects")
    assert "TrainingStartTime" not in job
    wait_until(lambda: training.context.instance.executor.running_jobs() == 0)
