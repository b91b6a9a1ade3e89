"""Training jobs: CloudWatch logs and metrics while one runs and after."""

import re
from datetime import UTC, datetime, timedelta

from tests.emulator.jobs import TrainingJobs
from tests.waiting import wait_until

NAMESPACE = "/aws/sagemaker/TrainingJobs"


def definitions(*pairs: tuple[str, str]) -> dict:
    return {"MetricDefinitions": [{"Name": name, "Regex": regex} for name, regex in pairs]}


def published(training: TrainingJobs, job: str, metric: str) -> dict:
    """Sum, count and maximum of a metric's values in CloudWatch."""
    cloudwatch = training.context.aws.client("cloudwatch")  # type: ignore[attr-defined]
    now = datetime.now(UTC)
    answer = cloudwatch.get_metric_statistics(
        Namespace=NAMESPACE,
        MetricName=metric,
        Dimensions=[{"Name": "TrainingJobName", "Value": job}],
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(hours=1),
        Period=7200,
        Statistics=["Sum", "SampleCount", "Maximum"],
    )
    points = answer["Datapoints"]
    return points[0] if points else {}


def final(job: dict) -> dict[str, float]:
    return {metric["MetricName"]: metric["Value"] for metric in job["FinalMetricDataList"]}


def test_lines_are_there_while_the_job_runs(training: TrainingJobs) -> None:
    name = training.create("import signal; print('begun', flush=True); signal.pause()")
    training.wait_for_line(name, "begun")
    assert training.describe(name)["TrainingJobStatus"] == "InProgress"
    training.stop(name)


def test_stream_is_named_after_job_and_host(training: TrainingJobs) -> None:
    name = training.run("print('x')")["TrainingJobName"]
    [stream] = training.streams(name)
    assert re.fullmatch(rf"{name}/algo-1-\d{{13}}", stream)


def test_stream_is_there_for_a_job_that_prints_nothing(training: TrainingJobs) -> None:
    assert len(training.streams(training.run("")["TrainingJobName"])) == 1


def test_both_streams_of_the_program_are_in_the_log(training: TrainingJobs) -> None:
    job = training.run("""
        import sys
        print("out", flush=True)
        print("err", file=sys.stderr)
    """)
    assert training.log(job["TrainingJobName"]) == ["out", "err"]


def test_traceback_of_a_failing_script_is_in_the_log(training: TrainingJobs) -> None:
    job = training.run("raise KeyError('train')")
    assert training.log(job["TrainingJobName"])[-1] == "KeyError: 'train'"


def test_no_line_is_lost_at_ten_thousand_a_second(training: TrainingJobs) -> None:
    script = "for number in range(20_000): print(number)"
    name = training.run(script)["TrainingJobName"]
    assert training.log(name) == [str(number) for number in range(20_000)]


def test_lines_of_any_kind_reach_the_log(training: TrainingJobs) -> None:
    job = training.run("""
        import os
        os.write(1, b"\\xff\\xfe binary\\n\\nafter an empty line\\n")
        print("💥" * 100_000)
        os.write(1, b"no end")
    """)
    assert training.status(job) == "Completed"
    first, empty, after, *long, last = training.log(job["TrainingJobName"])
    assert first == "\ufffd\ufffd binary"
    assert (empty, after, last) == (" ", "after an empty line", "no end")
    assert "".join(long) == "💥" * 100_000
    assert max(len(line.encode()) for line in long) <= 256 * 1024 - 26


def test_metrics_are_published_and_their_last_values_described(training: TrainingJobs) -> None:
    job = training.run(
        """
        for epoch, loss in enumerate([3.5, 2.5, 0.25]):
            print(f"epoch={epoch}; loss={loss};")
        """,
        algorithm=definitions(("loss", "loss=(.*?);"), ("epoch", r"epoch=(\d+)")),
    )
    assert final(job) == {"loss": 0.25, "epoch": 2}
    point = published(training, job["TrainingJobName"], "loss")
    assert (point["SampleCount"], point["Maximum"], point["Sum"]) == (3, 3.5, 6.25)


def test_failed_job_has_its_metrics_too(training: TrainingJobs) -> None:
    job = training.run(
        "print('loss=1;'); raise SystemExit(1)", algorithm=definitions(("loss", "loss=(.*?);"))
    )
    assert final(job) == {"loss": 1}


def test_values_that_are_no_numbers_are_left_out(training: TrainingJobs) -> None:
    job = training.run(
        "print('loss=0.5; loss=nan; loss=inf; loss=abc; loss=;')",
        algorithm=definitions(("loss", "loss=(.*?);")),
    )
    assert final(job) == {"loss": 0.5}
    assert published(training, job["TrainingJobName"], "loss")["SampleCount"] == 1


def test_describe_has_no_metrics_where_none_were_found(training: TrainingJobs) -> None:
    job = training.run("print('nothing')", algorithm=definitions(("loss", "loss=(.*?);")))
    assert "FinalMetricDataList" not in job


def test_thousands_of_values_are_all_published(training: TrainingJobs) -> None:
    job = training.run(
        "for n in range(3_000): print(f'n={n};')", algorithm=definitions(("n", "n=(.*?);"))
    )
    assert published(training, job["TrainingJobName"], "n")["SampleCount"] == 3000


def test_regex_that_takes_for_ever_does_not_hold_the_job(training: TrainingJobs) -> None:
    job = training.run("print('a' * 5_000 + '!')", algorithm=definitions(("slow", "(a|a|aa)+$")))
    assert training.status(job) == "Completed"


def test_long_log_can_be_read_while_it_grows(training: TrainingJobs) -> None:
    name = training.create("""
        import signal
        for number in range(5_000):
            print(number)
        signal.pause()
    """)
    wait_until(lambda: len(training.log(name)) == 5_000)
    training.stop(name)
