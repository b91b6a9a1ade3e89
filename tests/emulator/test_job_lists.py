"""ListTrainingJobs and ListProcessingJobs: filters, order, pages.

The records are written to the store as the jobs themselves would leave them.
"""

from datetime import UTC, datetime, timedelta

import pytest

from sagestack.aws.errors import ValidationException
from sagestack.aws.store import Key, Record
from sagestack.context import Context
from tests.emulator.jobs import ACCOUNT, REGION, ProcessingJobs, TrainingJobs

START = datetime(2026, 1, 1, tzinfo=UTC)
STATUSES = ("Completed", "Failed", "Stopped")
JOBS = 12


@pytest.fixture(params=["Training", "Processing"])
def kind(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    return kind


@pytest.fixture
def jobs(context: Context, kind: str) -> None:
    """Twelve jobs, a minute apart, their statuses in turn."""
    for number in range(JOBS):
        name, status = f"list-{number:02}", STATUSES[number % 3]
        arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{kind.lower()}-job/{name}"
        created = START + timedelta(minutes=number)
        document = {
            f"{kind}JobName": name,
            f"{kind}JobArn": arn,
            f"{kind}JobStatus": status,
            "CreationTime": created,
            "RoleArn": "not in a summary",
        }
        key = Key.of(context.caller, f"{kind.lower()}-job", name)
        record = Record(key, arn, document, status, created=created, modified=created)
        context.store.create(record)


def names(context: Context, kind: str, **members: object) -> list[str]:
    return [job[f"{kind}JobName"] for job in summaries(context, kind, **members)]


def summaries(context: Context, kind: str, **members: object) -> list[dict]:
    answer = context.call("sagemaker", f"List{kind}Jobs", members)
    found: list[dict] = answer[f"{kind}JobSummaries"]
    return found


def numbered(*numbers: int) -> list[str]:
    return [f"list-{number:02}" for number in numbers]


pytestmark = pytest.mark.usefixtures("jobs")


def test_a_page_has_the_oldest_ten(context: Context, kind: str) -> None:
    assert names(context, kind) == numbered(*range(10))


def test_pages_add_up(context: Context, kind: str) -> None:
    found, request = [], {"MaxResults": 5}
    while True:
        answer = context.call("sagemaker", f"List{kind}Jobs", request)
        found += [job[f"{kind}JobName"] for job in answer[f"{kind}JobSummaries"]]
        if "NextToken" not in answer:
            break
        request["NextToken"] = answer["NextToken"]
    assert found == numbered(*range(JOBS))


@pytest.mark.parametrize("sort_by", ["CreationTime", "Name"])
def test_order_can_be_turned(context: Context, kind: str, sort_by: str) -> None:
    found = names(context, kind, SortBy=sort_by, SortOrder="Descending", MaxResults=3)
    assert found == numbered(11, 10, 9)


def test_order_of_statuses(context: Context, kind: str) -> None:
    found = summaries(context, kind, SortBy="Status", MaxResults=100)
    statuses = [job[f"{kind}JobStatus"] for job in found]
    assert statuses == sorted(statuses)


def test_filter_by_status(context: Context, kind: str) -> None:
    assert names(context, kind, StatusEquals="Failed") == numbered(1, 4, 7, 10)


def test_filter_by_part_of_the_name(context: Context, kind: str) -> None:
    assert names(context, kind, NameContains="LIST-1") == numbered(10, 11)


def test_filter_by_time(context: Context, kind: str) -> None:
    after, before = START + timedelta(minutes=3), START + timedelta(minutes=6)
    found = names(context, kind, CreationTimeAfter=after, CreationTimeBefore=before)
    assert found == numbered(4, 5)
    found = names(context, kind, LastModifiedTimeAfter=after, LastModifiedTimeBefore=before)
    assert found == numbered(4, 5)


def test_filters_hold_across_pages(context: Context, kind: str) -> None:
    request = {"StatusEquals": "Failed", "MaxResults": 3}
    first = context.call("sagemaker", f"List{kind}Jobs", request)
    second = context.call(
        "sagemaker", f"List{kind}Jobs", request | {"NextToken": first["NextToken"]}
    )
    assert [job[f"{kind}JobName"] for job in second[f"{kind}JobSummaries"]] == numbered(10)


def test_summaries_are_short(context: Context, kind: str) -> None:
    [job] = summaries(context, kind, NameContains="list-03")
    assert set(job) == {
        f"{kind}JobName",
        f"{kind}JobArn",
        f"{kind}JobStatus",
        "CreationTime",
        "LastModifiedTime",
    }


def test_token_that_nobody_gave_is_refused(context: Context, kind: str) -> None:
    with pytest.raises(ValidationException):
        names(context, kind, NextToken="made-up")


def test_other_accounts_and_regions_have_lists_of_their_own(context: Context, kind: str) -> None:
    for account, region in ((ACCOUNT, "eu-west-1"), ("000000000001", REGION)):
        assert names(context.instance.context(account, region), kind) == []


def test_job_that_ran_is_in_the_list(training: TrainingJobs, processing: ProcessingJobs) -> None:
    """A record of a real job has what the list reads."""
    trained, processed = training.run(""), processing.run("")
    newest = {"SortOrder": "Descending", "MaxResults": 1}
    [summary] = summaries(training.context, "Training", **newest)
    assert summary.items() <= {**trained, "SecondaryStatus": "Completed"}.items()
    [summary] = summaries(training.context, "Processing", **newest)
    assert summary.items() <= processed.items()
