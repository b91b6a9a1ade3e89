"""The SDK v2 as it is, against a live LocalStack: from the call to the result."""

from __future__ import annotations

from tests.e2e.sdk.run import DOUBLED, SdkRun


def test_sklearn_estimator_leads_to_a_model_and_streams_its_log(v2: SdkRun) -> None:
    outcome = v2.outcome("sklearn")
    assert outcome.result is True, outcome
    assert "rows=3;" in outcome.log
    assert "Training job completed" in outcome.log


def test_sklearn_estimator_raises_our_reason(v2: SdkRun) -> None:
    outcome = v2.outcome("sklearn_fails")
    assert outcome.error == "UnexpectedStatusException", outcome
    assert "AlgorithmError: ExecuteUserScriptError" in outcome.text
    assert "the slope is negative" in outcome.log


def test_sklearn_processor_leads_to_its_output_and_streams_its_log(v2: SdkRun) -> None:
    outcome = v2.outcome("sklearn_processor")
    assert outcome.result == DOUBLED, outcome
    assert "doubled 3 numbers" in outcome.log


def test_sklearn_processor_raises_our_reason(v2: SdkRun) -> None:
    outcome = v2.outcome("sklearn_processor_fails")
    assert outcome.error == "UnexpectedStatusException", outcome
    assert "AlgorithmError" in outcome.text


def test_framework_processor_leads_to_its_output_and_streams_its_log(v2: SdkRun) -> None:
    outcome = v2.outcome("framework_processor")
    assert outcome.result == DOUBLED, outcome
    assert "doubled 3 numbers" in outcome.log


def test_xgboost_estimator_leads_to_a_model_and_streams_its_log(v2: SdkRun) -> None:
    outcome = v2.outcome("xgboost")
    assert outcome.result is True, outcome
    assert "rows=3;" in outcome.log


def test_tuner_leads_to_the_model_of_its_best_trial(v2: SdkRun) -> None:
    outcome = v2.outcome("tuner")
    assert outcome.result == {"status": "Completed", "trials": 2, "model": True}, outcome


def test_tuner_raises_our_reason(v2: SdkRun) -> None:
    outcome = v2.outcome("tuner_fails")
    assert outcome.error == "UnexpectedStatusException", outcome
    assert "training job" in outcome.text


def test_default_bucket_is_that_of_the_sessions_region(v2: SdkRun) -> None:
    outcome = v2.outcome("bucket_of_another_region")
    assert outcome.result == "sagemaker-eu-west-1-000000000000", outcome
