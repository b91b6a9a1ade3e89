"""An endpoint from its creation to its end: statuses, reasons, what answers meanwhile."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sagestack.aws.errors import AwsError
from sagestack.context import Context
from tests.emulator.endpoints import BROKEN, ECHO, WAITS, Endpoints, constant, refused
from tests.emulator.jobs import ACCOUNT, BUCKET, IMAGE, REGION
from tests.emulator.model_server import MODEL_FN, ROWS, fitted
from tests.waiting import wait_until

ARN = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint"


@pytest.fixture
def endpoints(context: Context) -> Endpoints:
    return Endpoints(context)


def test_a_real_model_is_served(endpoints: Endpoints, tmp_path: Path) -> None:
    import joblib

    model = fitted()
    joblib.dump(model, tmp_path / "model.joblib")
    url = endpoints.put_archive(MODEL_FN, **{"model.joblib": tmp_path / "model.joblib"})
    name = endpoints.serve(endpoints.model(container={"ModelDataUrl": url}))
    assert endpoints.answer(name, body=str(ROWS).encode()) == model.predict(ROWS).tolist()


def test_an_endpoint_in_service_is_described(endpoints: Endpoints) -> None:
    config = endpoints.config(endpoints.variant(constant(1), InitialVariantWeight=0.5))
    endpoints.call(
        "CreateEndpoint",
        EndpointName="My-Endpoint",
        EndpointConfigName=config,
        Tags=[{"Key": "a", "Value": "b"}],
    )
    endpoint = endpoints.settled("My-Endpoint")
    assert endpoint["EndpointName"] == "My-Endpoint"
    assert endpoint["EndpointArn"] == f"{ARN}/my-endpoint"
    assert endpoint["EndpointConfigName"] == config
    [variant] = endpoint["ProductionVariants"]
    [image] = variant.pop("DeployedImages")
    assert image["SpecifiedImage"] == IMAGE
    assert image["ResolvedImage"].startswith(IMAGE.rsplit(":", 1)[0] + "@sha256:")
    assert variant == {
        "VariantName": "AllTraffic",
        "CurrentWeight": 0.5,
        "DesiredWeight": 0.5,
        "CurrentInstanceCount": 1,
        "DesiredInstanceCount": 1,
    }
    assert "FailureReason" not in endpoint and "PendingDeploymentSummary" not in endpoint
    assert not {"Deployed", "Deploying"} & set(endpoint)
    [listed] = endpoints.call("ListEndpoints", StatusEquals="InService")["Endpoints"]
    assert listed["EndpointName"] == "My-Endpoint"


def test_while_it_is_created_nothing_answers_and_nothing_may_be_changed(
    endpoints: Endpoints,
) -> None:
    config = endpoints.config(endpoints.variant(constant(1)))
    name = endpoints.create(config)
    endpoint = endpoints.describe(name)
    assert endpoint["EndpointStatus"] == "Creating"
    [pending] = endpoint["PendingDeploymentSummary"]["ProductionVariants"]
    assert pending["VariantStatus"][0]["StatusMessage"] == "Launching 1 instance(s)."
    busy = f'Cannot update in-progress endpoint "{ARN}/{name}".'
    assert refused(endpoints.call, "DeleteEndpoint", EndpointName=name).message == busy
    update = {"EndpointName": name, "EndpointConfigName": config}
    assert refused(endpoints.call, "UpdateEndpoint", **update).message == busy
    error = refused(endpoints.invoke, name)
    assert (error.code, error.status, error.message) == (
        "ValidationError",
        400,
        f"Endpoint {name} of account {ACCOUNT} not found.",
    )
    taken = refused(endpoints.create, config, EndpointName=name.upper())
    assert taken.message == f'Cannot create already existing endpoint "{ARN}/{name}".'
    assert endpoints.settled(name)["EndpointStatus"] == "InService"


@pytest.mark.parametrize("operation", ["DescribeEndpoint", "DeleteEndpoint"])
def test_a_missing_endpoint(endpoints: Endpoints, operation: str) -> None:
    error = refused(endpoints.call, operation, EndpointName="none")
    assert error.code == "ValidationException"
    assert error.message == f'Could not find endpoint "{ARN}/none".'


def test_a_missing_configuration(endpoints: Endpoints) -> None:
    error = refused(endpoints.create, "none")
    assert error.message.startswith('Could not find endpoint configuration "arn:')


def test_a_model_that_can_not_be_loaded_fails_the_endpoint(endpoints: Endpoints) -> None:
    name = endpoints.create(endpoints.config(endpoints.variant(endpoints.model(BROKEN))))
    endpoint = endpoints.settled(name)
    assert endpoint["EndpointStatus"] == "Failed"
    assert endpoint["FailureReason"] == (
        "The primary container for production variant AllTraffic did not pass the ping health "
        "check. Please check CloudWatch logs for this endpoint."
    )
    assert any("this model is broken" in line for line in endpoints.log(name))
    update = {"EndpointName": name, "EndpointConfigName": endpoint["EndpointConfigName"]}
    assert "Failed" in refused(endpoints.call, "UpdateEndpoint", **update).message
    assert refused(endpoints.invoke, name).code == "ValidationError"
    endpoints.delete(name)


def test_model_data_that_is_no_archive_fails_the_endpoint(endpoints: Endpoints) -> None:
    endpoints.s3.put_object(Bucket=BUCKET, Key="bad.tar.gz", Body=b"not an archive")
    url = f"s3://{BUCKET}/bad.tar.gz"
    model = endpoints.model(container={"ModelDataUrl": url})
    endpoint = endpoints.settled(endpoints.create(endpoints.config(endpoints.variant(model))))
    assert endpoint["EndpointStatus"] == "Failed"
    assert endpoint["FailureReason"].startswith(
        f'Failed to extract model data archive for container "container_1" from URL "{url}".'
    )


def test_model_data_that_went_away_fails_the_endpoint(endpoints: Endpoints) -> None:
    url = endpoints.put_archive(constant(1))
    config = endpoints.config(endpoints.variant(endpoints.model(container={"ModelDataUrl": url})))
    endpoints.s3.delete_object(Bucket=BUCKET, Key=url.split("/", 3)[3])
    endpoint = endpoints.settled(endpoints.create(config))
    assert endpoint["EndpointStatus"] == "Failed"
    assert f'from URL "{url}"' in endpoint["FailureReason"]


def test_model_data_may_be_files_below_a_prefix(endpoints: Endpoints) -> None:
    endpoints.s3.put_object(
        Bucket=BUCKET, Key="raw/code/inference.py", Body=constant("raw").encode()
    )
    source = {
        "S3Uri": f"s3://{BUCKET}/raw/",
        "S3DataType": "S3Prefix",
        "CompressionType": "None",
    }
    model = endpoints.model(container={"ModelDataSource": {"S3DataSource": source}})
    assert endpoints.answer(endpoints.serve(model)) == ["raw"]


def test_the_model_can_not_be_written(endpoints: Endpoints) -> None:
    script = """
import os
def model_fn(model_dir):
    try:
        open(os.path.join(model_dir, "new"), "w")
    except OSError as error:
        return type(error).__name__
    return "written"
def predict_fn(data, model): return [model]
"""
    name = endpoints.serve(script)
    if "refuses namespaces" in "\n".join(endpoints.log(name)):
        pytest.skip("this machine refuses namespaces")
    assert endpoints.answer(name) == ["OSError"]


def test_an_isolated_model_is_served_and_has_no_network(endpoints: Endpoints) -> None:
    script = """
import socket
def model_fn(model_dir): return [name for _, name in socket.if_nameindex()]
def predict_fn(data, model): return model
"""
    model = endpoints.model(script, EnableNetworkIsolation=True)
    name = endpoints.create(endpoints.config(endpoints.variant(model)))
    if endpoints.settled(name)["EndpointStatus"] == "Failed":
        assert any("network isolation needs" in line for line in endpoints.log(name))
        pytest.skip("this machine refuses namespaces")
    assert endpoints.answer(name) == ["lo"]


def test_a_server_that_is_killed_is_started_again(endpoints: Endpoints) -> None:
    script = """
import os
def model_fn(model_dir): return None
def predict_fn(data, model): return [os.getpid() if data[0] == 0 else os.kill(os.getpid(), 9)]
"""
    name = endpoints.serve(script)
    [server] = endpoints.variants(name)[0].fleet.servers
    before = server.pid
    assert before is not None
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: server.pid != before and server.ready, 20, "a new server is ready")
    assert endpoints.answer(name)
    assert any("it is started again" in line for line in endpoints.log(name))
    assert endpoints.describe(name)["EndpointStatus"] == "InService"


def test_a_model_that_ends_its_process_is_a_model_error(endpoints: Endpoints) -> None:
    script = """
import os
def model_fn(model_dir): return None
def predict_fn(data, model): return ["fine"] if data[0] == 0 else os._exit(3)
"""
    name = endpoints.serve(script)
    error = refused(endpoints.invoke, name, b"[1]")
    assert (error.code, error.status, error.members["OriginalStatusCode"]) == ("ModelError", 424, 0)

    def answers() -> bool:
        try:
            return bool(endpoints.answer(name) == ["fine"])
        except AwsError as down:
            # Until it is seen that the process is gone a call may still be sent to it.
            assert down.code in ("ServiceUnavailable", "ModelError"), down
            return False

    wait_until(answers, 20, "it answers again")


def test_deleted_it_is_gone_with_its_processes_and_files(endpoints: Endpoints) -> None:
    name = endpoints.serve(constant(1))
    [server] = endpoints.variants(name)[0].fleet.servers
    pid = server.pid
    assert pid is not None
    endpoints.delete(name)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not list((endpoints.context.instance.directory / "endpoints").iterdir())
    assert "not found" in refused(endpoints.invoke, name).message


def test_calls_in_flight_are_answered_while_it_is_deleted(
    endpoints: Endpoints,
) -> None:
    name = endpoints.serve(WAITS)
    [server] = endpoints.variants(name)[0].fleet.servers
    with ThreadPoolExecutor() as pool:
        calls = [pool.submit(endpoints.invoke, name, b"[1]") for _ in range(3)]
        wait_until(lambda: server.outstanding == 3, what="three calls are on their way")
        endpoints.call("DeleteEndpoint", EndpointName=name)
        assert "not found" in refused(endpoints.invoke, name).message
        assert endpoints.describe(name)["EndpointStatus"] == "Deleting"
        (server.directory / "go-on").touch()
        assert [call.result()["Body"] for call in calls] == [b"[1]"] * 3
    wait_until(lambda: not endpoints.exists(name), 40)


def test_what_needs_more_servers_than_there_may_be_is_refused(endpoints: Endpoints) -> None:
    limit = endpoints.context.instance.servers.limit
    config = endpoints.config(
        endpoints.variant(ECHO, InitialInstanceCount=limit + 1, InstanceType="ml.m5.large")
    )
    error = refused(endpoints.create, config)
    assert error.code == "ResourceLimitExceeded"
    assert f"is {limit} Instances, with current utilization of 0" in error.message
    assert "SAGESTACK_MAX_MODEL_SERVERS" in error.message


def test_events_tell_every_status_in_upper_case(endpoints: Endpoints) -> None:
    told: list[tuple[str, str]] = []
    session: Any = endpoints.context.aws
    put = session.put_event

    def record(source: str, detail_type: str, detail: Any, resources: Any) -> None:
        if detail_type == "SageMaker Endpoint State Change":
            told.append((detail["EndpointStatus"], detail["EndpointName"]))
            assert isinstance(detail["CreationTime"], float | int)
            assert detail["Tags"] == {}
        put(source, detail_type, detail, resources)

    session.put_event = record
    name = endpoints.serve(constant(1))
    endpoints.delete(name)
    endpoints.context.instance.events.close(10)
    assert told == [("CREATING", name), ("IN_SERVICE", name), ("DELETING", name)]
