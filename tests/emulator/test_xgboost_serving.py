"""The model of the built-in XGBoost, served: bodies, answers, and what is refused.

Source: aws/sagemaker-xgboost-container, algorithm_mode/serve.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from sagestack.aws.errors import AwsError
from sagestack.context import Instance
from tests.emulator.endpoints import Endpoints
from tests.emulator.jobs import ACCOUNT, REGION
from tests.emulator.xgboost_jobs import XGBOOST, XGBoostJobs, xgboost_instance

ROWS = [[5.0, 2.0, 1.0], [1.0, 8.0, 3.0]]


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    with xgboost_instance(tmp_path_factory.mktemp("xgboost")) as instance:
        yield instance


@pytest.fixture(scope="module")
def endpoints(instance: Instance) -> Endpoints:
    return Endpoints(instance.context(ACCOUNT, REGION))


@pytest.fixture(scope="module")
def jobs(instance: Instance) -> XGBoostJobs:
    return XGBoostJobs.of(instance)


@pytest.fixture(scope="module")
def job(jobs: XGBoostJobs) -> dict[str, Any]:
    return jobs.good({"num_round": "20"})


@pytest.fixture(scope="module")
def expected(jobs: XGBoostJobs, job: dict[str, Any]) -> list[float]:
    return jobs.predictions(job, ROWS)


@pytest.fixture(scope="module")
def endpoint(endpoints: Endpoints, job: dict[str, Any]) -> str:
    return serve(endpoints, job["ModelArtifacts"]["S3ModelArtifacts"])


def serve(endpoints: Endpoints, model: str, **environment: str) -> str:
    container = {"Image": XGBOOST, "ModelDataUrl": model, "Environment": environment}
    return endpoints.serve(endpoints.model(container=container))


def body_of(answer: dict[str, Any]) -> str:
    text: str = answer["Body"].decode()
    return text


def refusal(endpoints: Endpoints, endpoint: str, **members: Any) -> tuple[int, str]:
    """The model's own status and text."""
    with pytest.raises(AwsError) as error:
        endpoints.invoke(endpoint, **members)
    return error.value.members["OriginalStatusCode"], error.value.members["OriginalMessage"]


def test_csv_is_answered_with_a_score_a_line(
    endpoints: Endpoints, endpoint: str, expected: list[float]
) -> None:
    answer = endpoints.invoke(endpoint, b"5.0,2.0,1.0\n1.0,8.0,3.0\n", ContentType="text/csv")
    assert answer["ContentType"] == "text/csv"
    assert [float(line) for line in body_of(answer).splitlines()] == expected


def test_json_is_answered_with_predictions(
    endpoints: Endpoints, endpoint: str, expected: list[float]
) -> None:
    answer = endpoints.invoke(
        endpoint, b"5.0,2.0,1.0\n1.0,8.0,3.0", ContentType="text/csv", Accept="application/json"
    )
    assert json.loads(answer["Body"]) == {"predictions": [{"score": x} for x in expected]}


@pytest.mark.parametrize("kind", ["text/libsvm", "text/x-libsvm"])
def test_libsvm_counts_features_as_training_does(
    endpoints: Endpoints, endpoint: str, expected: list[float], kind: str
) -> None:
    body = b"0:5.0 1:2.0 2:1.0\n-6 0:1.0 1:8.0 2:3.0"
    answer = endpoints.invoke(endpoint, body, ContentType=kind)
    assert [float(line) for line in body_of(answer).splitlines()] == expected


def test_empty_cell_is_a_missing_value(endpoints: Endpoints, endpoint: str) -> None:
    sparse = endpoints.invoke(endpoint, b"0:5.0 2:1.0", ContentType="text/libsvm")
    assert body_of(endpoints.invoke(endpoint, b"5.0,,1.0", ContentType="text/csv")) == (
        body_of(sparse)
    )


@pytest.mark.parametrize("body", [b"", None])
def test_empty_body_is_answered_with_nothing(
    endpoints: Endpoints, endpoint: str, body: bytes | None
) -> None:
    """LocalStack gives None for it."""
    answer = endpoints.invoke(endpoint, body, ContentType="text/csv")
    assert answer["Body"] == b""


def test_parameters_of_the_content_type_do_not_matter(endpoints: Endpoints, endpoint: str) -> None:
    answer = endpoints.invoke(endpoint, b"5,2,1", ContentType="text/csv; charset=utf-8")
    assert float(body_of(answer)) > 0


def test_other_content_types_are_refused(endpoints: Endpoints, endpoint: str) -> None:
    status, text = refusal(endpoints, endpoint, body=b"[1]", ContentType="application/json")
    assert status == 415
    assert text.startswith("application/json is not an accepted ContentType: csv, text/csv,")


def test_csv_that_is_no_numbers_is_refused(endpoints: Endpoints, endpoint: str) -> None:
    status, text = refusal(endpoints, endpoint, body=b"a,b,c", ContentType="text/csv")
    assert status == 415
    assert text.startswith("Loading csv data failed with Exception, please ensure data is in csv")


def test_more_features_than_the_model_has_are_refused(endpoints: Endpoints, endpoint: str) -> None:
    status, text = refusal(endpoints, endpoint, body=b"1,2,3,4,5", ContentType="text/csv")
    assert status == 400
    assert text.startswith("Unable to evaluate payload provided: ")


def test_answer_in_another_form_is_refused(endpoints: Endpoints, endpoint: str) -> None:
    status, text = refusal(
        endpoints, endpoint, body=b"1,2,3", ContentType="text/csv", Accept="application/xml"
    )
    assert status == 406
    assert text.startswith("Accept type application/xml is not supported.")


def test_probabilities_of_several_classes_are_columns(
    endpoints: Endpoints, jobs: XGBoostJobs
) -> None:
    table = "".join(f"{number % 3},{number % 3},{number}\n" for number in range(60))
    job = jobs.good(
        {"objective": "multi:softprob", "num_class": "3", "num_round": "5"},
        {"train": jobs.put("classes/train.csv", table)},
    )
    endpoint = serve(endpoints, job["ModelArtifacts"]["S3ModelArtifacts"])
    answer = endpoints.invoke(endpoint, b"2,5\n0,6", ContentType="text/csv")
    probabilities = [
        [float(cell) for cell in row.split(",")] for row in body_of(answer).splitlines()
    ]
    assert [row.index(max(row)) for row in probabilities] == [2, 0]


def test_user_module_is_given_a_matrix(
    endpoints: Endpoints, job: dict[str, Any], jobs: XGBoostJobs, expected: list[float]
) -> None:
    script = """
        import os, xgboost
        def model_fn(model_dir):
            booster = xgboost.Booster()
            booster.load_model(os.path.join(model_dir, "xgboost-model"))
            return booster
    """
    model = jobs.model(job["TrainingJobName"])
    uri = endpoints.put_archive(script, **model)
    endpoint = serve(
        endpoints,
        uri,
        SAGEMAKER_PROGRAM="inference.py",
        SAGEMAKER_SUBMIT_DIRECTORY="/opt/ml/model/code",
    )
    answer = endpoints.invoke(endpoint, b"5.0,2.0,1.0\n1.0,8.0,3.0", ContentType="text/csv")
    assert json.loads(answer["Body"]) == expected


def test_user_module_finds_the_modules_of_awss_image(
    endpoints: Endpoints, job: dict[str, Any], jobs: XGBoostJobs, expected: list[float]
) -> None:
    script = """
        import os, xgboost
        from sagemaker_containers.beta.framework import content_types, encoders, env, worker
        from sagemaker_containers.beta.framework import modules, transformer
        from sagemaker_xgboost_container import encoder
        def model_fn(model_dir):
            booster = xgboost.Booster()
            booster.load_model(os.path.join(model_dir, "xgboost-model"))
            return booster
        def input_fn(body, content_type):
            assert content_type == content_types.CSV
            return encoder.csv_to_dmatrix(body)
        def output_fn(prediction, accept):
            body = encoders.encode(prediction, accept)
            return worker.Response(body, mimetype="application/x-mine", status=201)
    """
    uri = endpoints.put_archive(script, **jobs.model(job["TrainingJobName"]))
    endpoint = serve(
        endpoints,
        uri,
        SAGEMAKER_PROGRAM="inference.py",
        SAGEMAKER_SUBMIT_DIRECTORY="/opt/ml/model/code",
    )
    answer = endpoints.invoke(endpoint, b"5.0,2.0,1.0\n1.0,8.0,3.0", ContentType="text/csv")
    assert json.loads(answer["Body"]) == expected
    assert answer["ContentType"] == "application/x-mine"


def test_model_that_is_none_does_not_come_into_service(endpoints: Endpoints) -> None:
    uri = endpoints.put_archive("", **{"xgboost-model": b"not a model"})
    container = {"Image": XGBOOST, "ModelDataUrl": uri}
    model = endpoints.model(container=container)
    name = endpoints.create(endpoints.config(endpoints.variant(model)))
    assert endpoints.settled(name)["EndpointStatus"] == "Failed"
    assert any("xgboost-model cannot be loaded" in line for line in endpoints.log(name))
