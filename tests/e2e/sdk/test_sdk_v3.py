"""The SDK v3 as it is, against a live LocalStack: from the call to the result."""

from __future__ import annotations

from tests.e2e.sdk.run import DOUBLED, SdkRun


def test_model_trainer_leads_to_a_model_and_streams_its_log(v3: SdkRun) -> None:
    outcome = v3.outcome("model_trainer")
    assert outcome.result == {"status": "Completed", "model": True}, outcome
    assert "rows=3;" in outcome.log


def test_model_trainer_raises_our_reason(v3: SdkRun) -> None:
    outcome = v3.outcome("model_trainer_fails")
    assert outcome.error == "FailedStatusError", outcome
    assert "AlgorithmError" in outcome.text
    assert "the slope is negative" in outcome.log


def test_script_processor_leads_to_its_output_and_streams_its_log(v3: SdkRun) -> None:
    outcome = v3.outcome("script_processor")
    assert outcome.result == DOUBLED, outcome
    assert "doubled 3 numbers" in outcome.log


def test_script_processor_raises_our_reason(v3: SdkRun) -> None:
    outcome = v3.outcome("script_processor_fails")
    assert outcome.error == "FailedStatusError", outcome
    assert "AlgorithmError" in outcome.text


def test_framework_processor_leads_to_its_output_and_streams_its_log(v3: SdkRun) -> None:
    outcome = v3.outcome("framework_processor")
    assert outcome.result == DOUBLED, outcome
    assert "doubled 3 numbers" in outcome.log


def test_tuner_leads_to_the_model_of_its_best_trial(v3: SdkRun) -> None:
    outcome = v3.outcome("tuner")
    assert outcome.result == {"status": "Completed", "trials": 2, "model": True}, outcome


def test_tuner_raises_our_reason(v3: SdkRun) -> None:
    outcome = v3.outcome("tuner_fails")
    assert outcome.error == "FailedStatusError", outcome
    assert "training job" in outcome.text


def test_transformer_leads_to_its_output(v3: SdkRun) -> None:
    outcome = v3.outcome("transformer")
    assert outcome.result == "2.0\n4.0\n6.0", outcome


def test_transformer_raises_our_reason(v3: SdkRun) -> None:
    outcome = v3.outcome("transformer_fails")
    assert outcome.error == "FailedStatusError", outcome
