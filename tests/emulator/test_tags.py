"""AddTags, ListTags, DeleteTags, and the Tags of a Create request."""

import pytest

from sagestack.aws.errors import ValidationException
from tests.emulator.jobs import TrainingJobs

TAGS = [{"Key": "team", "Value": "ml"}, {"Key": "stage", "Value": "dev"}]


@pytest.fixture
def arn(training: TrainingJobs) -> str:
    arn: str = training.describe(training.create("", Tags=TAGS))["TrainingJobArn"]
    return arn


def tags(training: TrainingJobs, arn: str, **members: object) -> dict[str, str]:
    answer = training.context.call("sagemaker", "ListTags", {"ResourceArn": arn, **members})
    return {tag["Key"]: tag["Value"] for tag in answer["Tags"]}


def add(training: TrainingJobs, arn: str, **added: str) -> dict:
    pairs = [{"Key": key, "Value": value} for key, value in added.items()]
    return training.context.call("sagemaker", "AddTags", {"ResourceArn": arn, "Tags": pairs})


def test_job_has_the_tags_it_was_made_with(training: TrainingJobs, arn: str) -> None:
    assert tags(training, arn) == {"team": "ml", "stage": "dev"}


def test_tags_are_added_and_replaced(training: TrainingJobs, arn: str) -> None:
    answer = add(training, arn, stage="prod", cost="")
    expected = {"team": "ml", "stage": "prod", "cost": ""}
    assert {tag["Key"]: tag["Value"] for tag in answer["Tags"]} == expected
    assert tags(training, arn) == expected


def test_tags_are_deleted_and_unknown_ones_are_no_error(training: TrainingJobs, arn: str) -> None:
    request = {"ResourceArn": arn, "TagKeys": ["team", "never-there"]}
    assert training.context.call("sagemaker", "DeleteTags", request) == {}
    assert tags(training, arn) == {"stage": "dev"}


def test_fifty_tags_fit_on_one_page(training: TrainingJobs, arn: str) -> None:
    add(training, arn, **{f"k{number:02}": "v" for number in range(48)})
    request: dict = {"ResourceArn": arn, "MaxResults": 50}
    first = training.context.call("sagemaker", "ListTags", request)
    assert (len(first["Tags"]), "NextToken" in first) == (50, False)


def test_a_resource_has_fifty_tags_at_most(training: TrainingJobs, arn: str) -> None:
    with pytest.raises(ValidationException):
        add(training, arn, **{f"k{number:02}": "v" for number in range(49)})
    assert len(tags(training, arn)) == 2


@pytest.mark.parametrize("key", ["aws:mine", "AWS:mine"])
def test_reserved_keys_are_refused(training: TrainingJobs, arn: str, key: str) -> None:
    with pytest.raises(ValidationException, match="reserved for AWS use"):
        add(training, arn, **{key: "v"})


def test_key_given_twice_is_refused_and_nothing_is_made(training: TrainingJobs) -> None:
    with pytest.raises(ValidationException, match="Duplicate tag keys found: k"):
        training.create(
            "",
            TrainingJobName="twice",
            Tags=[{"Key": "k", "Value": "1"}, {"Key": "k", "Value": "2"}],
        )
    with pytest.raises(ValidationException):
        training.describe("twice")


def test_name_in_an_arn_may_be_in_any_case(training: TrainingJobs) -> None:
    name = training.create("", TrainingJobName="Tagged", Tags=TAGS)
    arn = training.describe(name)["TrainingJobArn"].replace("tagged", "Tagged")
    assert tags(training, arn) == {"team": "ml", "stage": "dev"}


@pytest.mark.parametrize("operation", ["ListTags", "AddTags", "DeleteTags"])
def test_unknown_arn_is_a_validation_error(training: TrainingJobs, operation: str) -> None:
    arn = "arn:aws:sagemaker:us-east-1:123456789012:training-job/nobody"
    members = {"AddTags": {"Tags": []}, "DeleteTags": {"TagKeys": ["k"]}}.get(operation, {})
    with pytest.raises(ValidationException, match=arn):
        training.context.call("sagemaker", operation, {"ResourceArn": arn, **members})


def test_tags_of_another_account_are_out_of_reach(training: TrainingJobs, arn: str) -> None:
    other = TrainingJobs(training.context.instance.context("000000000001", "us-east-1"))
    with pytest.raises(ValidationException):
        tags(other, arn)
