"""CreateTrainingJob: names, arguments, isolation, and what is refused at once."""

import socket
import threading

import pytest

from sagestack.aws.errors import AwsError, ResourceInUse, ValidationException
from tests.emulator.jobs import ACCOUNT, BUCKET, IMAGE, REGION, TrainingJobs, channel

ENTRYPOINT = ["python3", "/opt/ml/input/data/code/script.py"]
OUTPUT = {"S3OutputPath": f"s3://{BUCKET}/out"}


def refusal(training: TrainingJobs, **members: object) -> str:
    with pytest.raises(ValidationException) as raised:
        training.create("", **members)
    return raised.value.message


def test_arn_has_account_region_and_name(training: TrainingJobs) -> None:
    request = training.request("", TrainingJobName="My-Job")
    answer = training.context.call("sagemaker", "CreateTrainingJob", request)
    arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/my-job"
    assert answer == {"TrainingJobArn": arn}


def test_job_is_there_when_its_arn_is(training: TrainingJobs) -> None:
    name = training.create("")
    job = training.describe(name)
    assert job["TrainingJobStatus"] in ("InProgress", "Completed")


def test_name_can_be_used_once(training: TrainingJobs) -> None:
    name = training.create("")
    arn = training.describe(name)["TrainingJobArn"]
    with pytest.raises(ResourceInUse) as raised:
        training.create("", TrainingJobName=name)
    assert raised.value.message == (
        "Training job names must be unique within an AWS account and region, and a training job "
        f"with this name already exists ({arn})"
    )


def test_names_that_differ_in_case_are_one(training: TrainingJobs) -> None:
    training.create("", TrainingJobName="same")
    with pytest.raises(ResourceInUse):
        training.create("", TrainingJobName="SAME")


def test_name_is_free_in_another_account_and_region(training: TrainingJobs) -> None:
    training.create("", TrainingJobName="shared")
    for account, region in ((ACCOUNT, "eu-west-1"), ("000000000001", REGION)):
        other = TrainingJobs(training.context.instance.context(account, region))
        other.create("", TrainingJobName="shared")
        assert region in other.end("shared")["TrainingJobArn"]


def test_same_name_at_once_makes_one_job(training: TrainingJobs) -> None:
    outcomes: list[str] = []
    request = training.request("", TrainingJobName="race")
    barrier = threading.Barrier(8)

    def create() -> None:
        barrier.wait()
        try:
            training.context.call("sagemaker", "CreateTrainingJob", dict(request))
            outcomes.append("created")
        except AwsError as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["ResourceInUse"] * 7 + ["created"]
    assert training.status(training.end("race")) == "Completed"


def test_arguments_follow_the_entrypoint(training: TrainingJobs) -> None:
    arguments = ["--name", "ünï 💥", "x" * 256, "a b", "$HOME `id`"]
    script = "import sys, json; print(json.dumps(sys.argv[1:]))"
    algorithm = {"ContainerArguments": arguments}
    assert training.answer(script, algorithm=algorithm) == arguments


def test_shell_entrypoint_runs(training: TrainingJobs) -> None:
    """The SDK v3 starts its driver so."""
    algorithm = {
        "ContainerEntrypoint": ["/bin/bash"],
        "ContainerArguments": ["-c", "python3 /opt/ml/input/data/code/script.py && echo done"],
    }
    job = training.run("print('ran')", algorithm=algorithm)
    assert training.log(job["TrainingJobName"]) == ["ran", "done"]


def test_environment_may_be_large(training: TrainingJobs) -> None:
    environment = {f"NAME_{number}": "ü" * 256 for number in range(100)}
    script = """
        import json, os
        names = [name for name, value in os.environ.items() if value == "ü" * 256]
        print(json.dumps(sorted(names)))
    """
    assert training.answer(script, Environment=environment) == sorted(environment)


def test_isolated_job_reaches_nobody_and_has_no_credentials(training: TrainingJobs) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        script = f"""
            import json, os, socket
            try:
                socket.create_connection({address!r}, timeout=5)
                reached = True
            except OSError:
                reached = False
            print(json.dumps([reached, sorted(n for n in os.environ if n.startswith("AWS_"))]))
        """
        answer = training.answer(script, EnableNetworkIsolation=True)
    assert answer == [False, ["AWS_DEFAULT_REGION", "AWS_REGION"]]


def test_unknown_image_is_refused_with_what_is_known(training: TrainingJobs) -> None:
    uri = "123456789012.dkr.ecr.us-east-1.amazonaws.com/my-own:latest"
    message = refusal(training, algorithm={"TrainingImage": uri, "ContainerEntrypoint": ENTRYPOINT})
    assert message.startswith(f"Cannot find the requested image: {uri}.")
    assert "sagemaker-scikit-learn" in message
    assert "SAGESTACK_IMAGES=my-own=" in message


@pytest.mark.parametrize("account", ["683313688378", "141502667606", "000000000000"])
def test_image_is_known_by_its_repository_alone(training: TrainingJobs, account: str) -> None:
    image = IMAGE.replace("683313688378", account).replace("1.2-1-cpu-py3", "1.4-2-cpu-py3")
    training.create("", algorithm={"TrainingImage": image, "ContainerEntrypoint": ENTRYPOINT})


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("DebugRuleConfigurations", [{"RuleConfigurationName": "r", "RuleEvaluatorImage": "i"}]),
        ("ProfilerRuleConfigurations", [{"RuleConfigurationName": "r", "RuleEvaluatorImage": "i"}]),
        ("TensorBoardOutputConfig", {"S3OutputPath": f"s3://{BUCKET}/tb"}),
        ("RemoteDebugConfig", {"EnableRemoteDebug": True}),
    ],
)
def test_what_is_not_supported_is_refused_by_name(
    training: TrainingJobs, member: str, value: object
) -> None:
    message = refusal(training, **{member: value})
    assert message == f"sagestack does not support {member}. The request was rejected."


def test_refused_request_leaves_nothing(training: TrainingJobs) -> None:
    refusal(training, TrainingJobName="refused", RemoteDebugConfig={"EnableRemoteDebug": True})
    with pytest.raises(ValidationException, match=r"^Requested resource not found\.$"):
        training.describe("refused")


def test_data_sources_other_than_s3_are_refused(training: TrainingJobs) -> None:
    source = {
        "FileSystemId": "fs-0123456789a",
        "FileSystemAccessMode": "ro",
        "FileSystemType": "EFS",
        "DirectoryPath": "/x",
    }
    efs = {"ChannelName": "efs", "DataSource": {"FileSystemDataSource": source}}
    message = refusal(training, channels=[efs])
    assert message.startswith("sagestack does not support data sources other than S3")


def test_channel_names_must_differ(training: TrainingJobs) -> None:
    twice = [channel("x", f"s3://{BUCKET}/x"), channel("x", f"s3://{BUCKET}/y")]
    assert refusal(training, channels=twice).startswith("Channel names")


@pytest.mark.parametrize("name", [".", ".."])
def test_channel_name_can_not_leave_the_inputs(training: TrainingJobs, name: str) -> None:
    message = refusal(training, channels=[channel(name, f"s3://{BUCKET}/x")])
    assert message == f"Invalid channel name: {name}"


def test_image_or_algorithm_is_needed_and_not_both(training: TrainingJobs) -> None:
    algorithm = {"AlgorithmName": "mine", "ContainerEntrypoint": ENTRYPOINT}
    assert "not both" in refusal(training, algorithm=algorithm)


@pytest.mark.parametrize(("regex", "words"), [("(", "Invalid regex"), ("x=1", "capturing group")])
def test_metric_without_a_value_is_refused(training: TrainingJobs, regex: str, words: str) -> None:
    algorithm = {"MetricDefinitions": [{"Name": "m", "Regex": regex}]}
    assert words in refusal(training, algorithm=algorithm)


def test_several_errors_are_counted_in_one_message(training: TrainingJobs) -> None:
    message = refusal(training, TrainingJobName="-bad-", RoleArn="a" * 20)
    assert message.startswith("2 validation errors detected: ")
    assert "'trainingJobName' failed to satisfy constraint" in message
    assert "'roleArn' failed to satisfy constraint" in message


@pytest.mark.parametrize("operation", ["DescribeTrainingJob", "StopTrainingJob"])
def test_unknown_name_is_a_validation_error(training: TrainingJobs, operation: str) -> None:
    with pytest.raises(ValidationException, match=r"^Requested resource not found\.$"):
        training.context.call("sagemaker", operation, {"TrainingJobName": "nobody"})
