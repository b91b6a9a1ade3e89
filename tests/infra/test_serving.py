"""The serving stack: another artifact replaces model and configuration, the endpoint stays."""

from __future__ import annotations

import re
from collections.abc import Callable

from infra.settings import Settings
from tests.infra.conftest import Template, listed, text

Get = Callable[[str, str], Template]


def test_the_artifact_is_a_parameter_that_must_be_an_archive_in_s3(template: Get) -> None:
    parameter = template("local", "serving").body["Parameters"]["ModelDataUrl"]
    pattern = parameter["AllowedPattern"]
    assert re.fullmatch(pattern, "s3://b/models/x/output/model.tar.gz")
    assert not re.fullmatch(pattern, "model.tar.gz")
    assert "Default" not in parameter


def test_the_model_serves_the_artifacts_own_code(template: Get) -> None:
    container = template("local", "serving").only("AWS::SageMaker::Model")["PrimaryContainer"]
    assert container["ModelDataUrl"] == {"Ref": "ModelDataUrl"}
    assert container["Image"] == Settings.of("local").sklearn_image
    assert container["Environment"]["SAGEMAKER_PROGRAM"] == "inference.py"
    assert container["Environment"]["SAGEMAKER_SUBMIT_DIRECTORY"] == "/opt/ml/model/code"


def test_replacing_the_model_replaces_the_configuration_and_updates_the_endpoint(
    template: Get,
) -> None:
    serving = template("local", "serving")
    configuration = serving.only("AWS::SageMaker::EndpointConfig")
    # Neither has a name of its own, so CloudFormation can make the new one before the old goes.
    assert "ModelName" not in serving.only("AWS::SageMaker::Model")
    assert "EndpointConfigName" not in configuration
    [variant] = configuration["ProductionVariants"]
    assert set(serving.of_type("AWS::SageMaker::Model")) & {variant["ModelName"]["Fn::GetAtt"][0]}
    endpoint = serving.only("AWS::SageMaker::Endpoint")
    assert endpoint["EndpointName"] == "sagestack-local-flight-delay"
    assert endpoint["EndpointConfigName"]["Fn::GetAtt"][0] in serving.of_type(
        "AWS::SageMaker::EndpointConfig"
    )


def test_the_model_waits_for_its_roles_permissions(template: Get) -> None:
    serving = template("local", "serving")
    [model] = serving.of_type("AWS::SageMaker::Model").values()
    assert set(serving.of_type("AWS::IAM::Policy")) <= set(model["DependsOn"])


def test_requests_and_answers_are_captured(template: Get) -> None:
    for stage, percent in (("local", 100), ("prod", 20)):
        configuration = template(stage, "serving").only("AWS::SageMaker::EndpointConfig")
        capture = configuration["DataCaptureConfig"]
        assert capture["EnableCapture"] is True
        assert capture["InitialSamplingPercentage"] == percent
        assert {option["CaptureMode"] for option in capture["CaptureOptions"]} == {
            "Input",
            "Output",
        }
        assert text(capture["DestinationS3Uri"]).endswith('/captured"]]}')


def test_the_role_reads_models_and_writes_captures_only(template: Get) -> None:
    granted = {}
    for statement in template("local", "serving").statements():
        for action in ("s3:GetObject", "s3:PutObject"):
            if action in listed(statement["Action"]):
                granted[action] = text(statement["Resource"])
    assert "/models/*" in granted["s3:GetObject"]
    assert "/captured/*" in granted["s3:PutObject"]


def test_production_has_two_instances(template: Get) -> None:
    [variant] = template("prod", "serving").only("AWS::SageMaker::EndpointConfig")[
        "ProductionVariants"
    ]
    assert variant["InitialInstanceCount"] == 2


def test_outputs(template: Get) -> None:
    assert template("local", "serving").outputs() == {
        "EndpointName",
        "ModelName",
        "EndpointConfigName",
        "ServedModelDataUrl",
    }
