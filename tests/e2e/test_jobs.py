"""Training and processing jobs on a live LocalStack, asked for with boto3."""

import io
import json
import tarfile
from textwrap import dedent

import pytest
from botocore.exceptions import ClientError

from tests.e2e.live import Live
from tests.emulator.jobs import BUCKET, IMAGE, ProcessingJobs, TrainingJobs, channel, s3_output
from tests.waiting import wait_until

TRAIN = """
    import argparse, os
    import joblib, numpy
    from sklearn.linear_model import LinearRegression

    parser = argparse.ArgumentParser()
    parser.add_argument("--slope", type=float)
    parser.add_argument("--model-dir", default=os.environ["SM_MODEL_DIR"])
    arguments = parser.parse_args()
    x = numpy.loadtxt(os.environ["SM_CHANNEL_TRAIN"] + "/x.csv").reshape(-1, 1)
    model = LinearRegression().fit(x, arguments.slope * x[:, 0])
    print(f"coefficient={model.coef_[0]:.3f};")
    joblib.dump(model, arguments.model_dir + "/model.joblib")
"""


def sourcedir(training: TrainingJobs, script: str) -> str:
    """Upload code as both SDKs do; its URI."""
    content, code = io.BytesIO(), dedent(script).encode()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        member = tarfile.TarInfo("train.py")
        member.size = len(code)
        tar.addfile(member, io.BytesIO(code))
    return training.put("source/sourcedir.tar.gz", content.getvalue())


def test_script_from_s3_trains_a_model(training: TrainingJobs) -> None:
    data = training.put("data/x.csv", "1\n2\n3\n")
    request = training.request(
        "",
        HyperParameters={
            "sagemaker_program": "train.py",
            "sagemaker_submit_directory": sourcedir(training, TRAIN),
            "slope": "2.5",
        },
        InputDataConfig=[channel("train", data)],
        AlgorithmSpecification={
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "coefficient", "Regex": "coefficient=(.*?);"}],
        },
    )
    training.context.call("sagemaker", "CreateTrainingJob", request)
    name = request["TrainingJobName"]
    job = training.end(name)
    assert job["TrainingJobStatus"] == "Completed", (job.get("FailureReason"), training.log(name))
    assert "coefficient=2.500;" in training.log(name)
    assert [m["Value"] for m in job["FinalMetricDataList"]] == [2.5]
    assert set(training.model(name)) == {"model.joblib"}


def test_program_reaches_aws_as_its_role(training: TrainingJobs) -> None:
    script = f"""
        import boto3, json
        boto3.client("s3").put_object(Bucket="{BUCKET}", Key="from/job", Body=b"hello")
        print(json.dumps(boto3.client("sts").get_caller_identity()["Arn"]))
    """
    assert ":assumed-role/SageMaker/" in training.answer(script)
    assert training.get("from/job") == b"hello"


def test_failing_job_says_why(training: TrainingJobs) -> None:
    job = training.run("raise ValueError('no rows')")
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"] == "AlgorithmError: , exit code: 1"
    assert training.log(job["TrainingJobName"])[-1] == "ValueError: no rows"


def test_stopped_job_keeps_what_it_saved(training: TrainingJobs) -> None:
    name = training.create("""
        import signal, sys
        def save(*_):
            open("/opt/ml/model/saved", "w").close()
            sys.exit(0)
        signal.signal(signal.SIGTERM, save)
        print("begun", flush=True)
        signal.pause()
    """)
    training.wait_for_line(name, "begun")
    training.stop(name)
    job = training.end(name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert training.model(name) == {"saved": b""}


def test_job_with_missing_input_says_so(training: TrainingJobs) -> None:
    job = training.run("", channels=[channel("train", f"s3://{BUCKET}/missing/")])
    assert job["TrainingJobStatus"] == "Failed"
    assert job["FailureReason"].startswith("ClientError: Data download failed:No S3 objects found")


def test_processing_job_turns_inputs_into_outputs(processing: ProcessingJobs) -> None:
    out = "/opt/ml/processing/out"
    job = processing.run(
        f"""
        import pandas
        pandas.DataFrame({{"x": [1, 2]}}).to_csv("{out}/x.csv", index=False)
        """,
        outputs=[s3_output("out", f"s3://{BUCKET}/processed", out)],
    )
    assert job["ProcessingJobStatus"] == "Completed", job
    assert processing.get("processed/x.csv") == b"x\n1\n2\n"


def test_events_of_a_job_reach_a_rules_target(training: TrainingJobs) -> None:
    sqs, events = (training.context.aws.client(name) for name in ("sqs", "events"))
    queue = sqs.create_queue(QueueName="job-events")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    pattern = {
        "source": ["aws.sagemaker"],
        "detail-type": ["SageMaker Training Job State Change"],
        "detail": {"TrainingJobStatus": ["Completed"]},
    }
    events.put_rule(Name="completed", EventPattern=json.dumps(pattern))
    target = {"Id": "queue", "Arn": arn["Attributes"]["QueueArn"]}
    events.put_targets(Rule="completed", Targets=[target])
    job = training.run("")
    messages = wait_until(
        lambda: sqs.receive_message(QueueUrl=queue).get("Messages"), what="the event"
    )
    event = json.loads(messages[0]["Body"])
    assert event["resources"] == [job["TrainingJobArn"]]
    assert event["detail"]["TrainingJobName"] == job["TrainingJobName"]


def test_regions_are_worlds_of_their_own(training: TrainingJobs, live: Live) -> None:
    name = training.create("")
    elsewhere = live.context("eu-west-1")
    with pytest.raises(ClientError, match="Requested resource not found"):
        elsewhere.call("sagemaker", "DescribeTrainingJob", {"TrainingJobName": name})


def test_operation_that_does_not_run_is_refused_by_name(training: TrainingJobs) -> None:
    with pytest.raises(ClientError) as raised:
        training.context.call("sagemaker", "ListHubs", {})
    error = raised.value.response
    assert error["Error"]["Code"] == "OperationNotSupported"
    assert "sagestack does not run sagemaker:ListHubs" in error["Error"]["Message"]
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 501


def test_waiter_of_boto3_sees_the_end_at_its_first_look(training: TrainingJobs) -> None:
    name = training.create("import time; time.sleep(0.5)")
    waiter = training.context.aws.client("sagemaker").get_waiter(
        "training_job_completed_or_stopped"
    )
    waiter.wait(TrainingJobName=name, WaiterConfig={"MaxAttempts": 1})


def test_aws_cli_makes_waits_and_describes(training: TrainingJobs, live: Live) -> None:
    request = training.request("print('from the CLI')")
    name = request["TrainingJobName"]
    made = live.aws("sagemaker", "create-training-job", "--cli-input-json", json.dumps(request))
    assert made.returncode == 0, made.stderr
    waited = live.aws(
        "sagemaker", "wait", "training-job-completed-or-stopped", "--training-job-name", name
    )
    assert waited.returncode == 0, waited.stderr
    described = live.aws("sagemaker", "describe-training-job", "--training-job-name", name)
    assert json.loads(described.stdout)["TrainingJobStatus"] == "Completed"


def test_aws_cli_shows_the_errors_of_aws(live: Live) -> None:
    done = live.aws("sagemaker", "describe-training-job", "--training-job-name", "nobody")
    assert done.returncode != 0
    assert "(ValidationException)" in done.stderr
    assert "Requested resource not found." in done.stderr
