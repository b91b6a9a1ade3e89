"""The operations on tuning jobs that are there: list, delete, stop, and what is missing."""

from __future__ import annotations

import pytest

from sagestack.aws.errors import AwsError
from tests.emulator.tuning import TuningJobs, value_of

SQUARE = "print('score=%s' % (float(h['x']) - 0.3) ** 2)"


def test_trials_are_listed_sorted_filtered_and_in_pages(tuning: TuningJobs) -> None:
    name = tuning.create(SQUARE + "\nif float(h['x']) > 0.7: raise SystemExit(1)", seed=3,
                         limits={"MaxNumberOfTrainingJobs": 5})  # fmt: skip
    tuning.end(name)
    every = tuning.trials(name)
    failed = tuning.trials(name, StatusEquals="Failed")
    assert 0 < len(failed) < 5
    values = [value_of(each) for each in tuning.trials(name, SortBy="FinalObjectiveMetricValue")]
    assert values == sorted(values) and len(values) == 5 - len(failed)
    operation = "ListTrainingJobsForHyperParameterTuningJob"
    names, token = [], {}
    while True:
        page = tuning.call(operation, name, MaxResults=2, **token)
        names += [each["TrainingJobName"] for each in page["TrainingJobSummaries"]]
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert names == sorted(each["TrainingJobName"] for each in every)
    backwards = tuning.trials(name, SortBy="Name", SortOrder="Descending")
    assert [each["TrainingJobName"] for each in backwards] == names[::-1]


def test_tuning_jobs_are_listed(tuning: TuningJobs) -> None:
    name = tuning.create(SQUARE)
    tuning.end(name)
    request = {"NameContains": name, "StatusEquals": "Completed"}
    answer = tuning.context.call("sagemaker", "ListHyperParameterTuningJobs", request)
    (summary,) = answer["HyperParameterTuningJobSummaries"]
    assert summary["HyperParameterTuningJobName"] == name
    assert summary["Strategy"] == "Random"
    assert summary["ResourceLimits"]["MaxParallelTrainingJobs"] == 2
    assert summary["TrainingJobStatusCounters"]["Completed"] == 3


def test_deleted_tuning_job_is_gone_and_its_training_jobs_are_not(tuning: TuningJobs) -> None:
    name = tuning.create(SQUARE)
    tuning.end(name)
    trial = tuning.trials(name)[0]["TrainingJobName"]
    tuning.call("DeleteHyperParameterTuningJob", name)
    with pytest.raises(AwsError) as error:
        tuning.describe(name)
    assert error.value.code == "ResourceNotFound"
    assert tuning.training.describe(trial)["TrainingJobStatus"] == "Completed"


@pytest.mark.parametrize("operation", ["Describe", "Stop", "Delete"])
def test_missing_tuning_job_is_resource_not_found(tuning: TuningJobs, operation: str) -> None:
    with pytest.raises(AwsError) as error:
        tuning.call(f"{operation}HyperParameterTuningJob", "nothing")
    assert error.value.code == "ResourceNotFound"
    assert error.value.message.startswith(
        "Amazon SageMaker can't find a tuning job with the name nothing"
    )


def test_tuning_job_that_has_ended_can_not_be_stopped(tuning: TuningJobs) -> None:
    name = tuning.create(SQUARE)
    tuning.end(name)
    with pytest.raises(AwsError, match="is in status Completed"):
        tuning.call("StopHyperParameterTuningJob", name)


def test_name_is_taken_once_in_any_case(tuning: TuningJobs) -> None:
    request = tuning.request(SQUARE)
    name = tuning.submit(request)
    request["HyperParameterTuningJobName"] = name.upper()
    with pytest.raises(AwsError, match="already exists") as error:
        tuning.submit(request)
    assert error.value.code == "ResourceInUse"
    tuning.end(name)
