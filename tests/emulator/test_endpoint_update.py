"""Updates: new servers before old ones go, and the old ones stay when the new ones fail."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from sagestack.context import Context
from tests.emulator.endpoints import BROKEN, WAITS, Endpoints, constant, refused
from tests.emulator.jobs import BUCKET
from tests.waiting import wait_until


@pytest.fixture
def endpoints(context: Context) -> Endpoints:
    return Endpoints(context)


def update(endpoints: Endpoints, name: str, config: str, **members: Any) -> dict[str, Any]:
    """Update and wait for the end of it."""
    endpoints.call("UpdateEndpoint", EndpointName=name, EndpointConfigName=config, **members)
    return endpoints.settled(name)


def scale(endpoints: Endpoints, name: str, **wish: Any) -> dict[str, Any]:
    wishes = [{"VariantName": "AllTraffic", **wish}]
    endpoints.call(
        "UpdateEndpointWeightsAndCapacities",
        EndpointName=name,
        DesiredWeightsAndCapacities=wishes,
    )
    return endpoints.settled(name)


def test_an_update_replaces_what_is_served(endpoints: Endpoints) -> None:
    name = endpoints.serve(constant("old"))
    old = endpoints.variants(name)[0].fleet.servers
    new = endpoints.config(endpoints.variant(constant("new")))
    endpoints.call("UpdateEndpoint", EndpointName=name, EndpointConfigName=new)
    during = endpoints.describe(name)
    assert during["EndpointStatus"] == "Updating"
    assert during["PendingDeploymentSummary"]["EndpointConfigName"] == new
    assert endpoints.settled(name)["EndpointConfigName"] == new
    assert endpoints.answer(name) == ["new"]
    assert not any(server.ready for server in old)


def test_no_call_fails_while_it_is_updated(endpoints: Endpoints) -> None:
    name = endpoints.serve(constant("old"))
    config = endpoints.config(endpoints.variant(constant("new")))
    seen: list[Any] = []
    done = threading.Event()

    def call() -> None:
        while not done.is_set():
            seen.append(endpoints.answer(name))

    threads = [threading.Thread(target=call) for _ in range(2)]
    for thread in threads:
        thread.start()
    update(endpoints, name, config)
    wait_until(lambda: seen[-1] == ["new"])
    done.set()
    for thread in threads:
        thread.join()
    assert {answer[0] for answer in seen} == {"old", "new"}
    first_new = seen.index(["new"])
    assert all(answer == ["new"] for answer in seen[first_new + len(threads) :])


def test_an_update_that_fails_leaves_what_was_served(endpoints: Endpoints) -> None:
    name = endpoints.serve(constant("old"))
    before = endpoints.describe(name)
    bad = endpoints.config(endpoints.variant(endpoints.model(BROKEN)))
    after = update(endpoints, name, bad)
    assert after["EndpointStatus"] == "InService"
    assert after["EndpointConfigName"] == before["EndpointConfigName"]
    assert "did not pass the ping health check" in after["FailureReason"]
    assert "PendingDeploymentSummary" not in after
    assert endpoints.answer(name) == ["old"]
    good = endpoints.config(endpoints.variant(constant("new")))
    assert "FailureReason" not in update(endpoints, name, good)
    assert endpoints.answer(name) == ["new"]


def test_an_endpoint_outlives_its_model_and_its_configuration(endpoints: Endpoints) -> None:
    name = endpoints.serve(constant(1))
    config = endpoints.describe(name)["EndpointConfigName"]
    variants = endpoints.call("DescribeEndpointConfig", EndpointConfigName=config)
    endpoints.call("DeleteModel", ModelName=variants["ProductionVariants"][0]["ModelName"])
    endpoints.call("DeleteEndpointConfig", EndpointConfigName=config)
    scale(endpoints, name, DesiredInstanceCount=2)
    assert endpoints.answer(name) == [1]
    assert len(endpoints.variants(name)[0].fleet.servers) == 2


def test_servers_are_added_and_taken_away(endpoints: Endpoints) -> None:
    script = """
import os, socket
def model_fn(model_dir): return os.stat("/proc/self/ns/pid").st_ino
def predict_fn(data, model): return [model]
"""
    name = endpoints.serve(script)
    endpoints.call(
        "UpdateEndpointWeightsAndCapacities",
        EndpointName=name,
        DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", "DesiredInstanceCount": 2}],
    )
    [variant] = endpoints.describe(name)["ProductionVariants"]
    assert variant["DesiredInstanceCount"] == 2
    [variant] = endpoints.settled(name)["ProductionVariants"]
    assert (variant["CurrentInstanceCount"], variant["DesiredInstanceCount"]) == (2, 2)
    assert "VariantStatus" not in variant
    [serving] = endpoints.variants(name)
    ids = {server.id for server in serving.fleet.servers}
    assert len(ids) == 2
    [variant] = scale(endpoints, name, DesiredInstanceCount=1)["ProductionVariants"]
    assert variant["CurrentInstanceCount"] == 1
    assert len(endpoints.variants(name)[0].fleet.servers) == 1
    assert endpoints.answer(name)


def test_calls_go_to_the_servers_in_turn(endpoints: Endpoints) -> None:
    script = """
import uuid
def model_fn(model_dir): return str(uuid.uuid4())
def predict_fn(data, model): return [model]
"""
    name = endpoints.serve(script, InitialInstanceCount=2)
    answers = [endpoints.answer(name)[0] for _ in range(6)]
    assert answers[0] != answers[1]
    assert answers == answers[:2] * 3


def test_weights_take_effect_without_new_servers(endpoints: Endpoints) -> None:
    model = endpoints.model(constant(1))
    name = endpoints.create(endpoints.config(endpoints.variant(model)))
    endpoints.settled(name)
    before = endpoints.variants(name)[0].fleet
    [variant] = scale(endpoints, name, DesiredWeight=7)["ProductionVariants"]
    assert (variant["CurrentWeight"], variant["DesiredWeight"]) == (7.0, 7.0)
    assert endpoints.variants(name)[0].fleet is before


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"VariantName": "Other"}, 'The variant name(s) "Other" is/are not present within'),
        ({"DesiredInstanceCount": 0}, "must be at least 1"),
        ({"ServerlessUpdateConfig": {"MaxConcurrency": 1}}, "not serverless"),
    ],
)
def test_a_scaling_that_can_not_be(endpoints: Endpoints, wish: Any, words: str) -> None:
    name = endpoints.serve(constant(1))
    assert words in refused(scale, endpoints, name, **wish).message
    assert endpoints.describe(name)["EndpointStatus"] == "InService"


def test_a_variant_that_is_scaled_twice_at_once_is_refused(endpoints: Endpoints) -> None:
    name = endpoints.serve(constant(1))
    wish = {"VariantName": "AllTraffic", "DesiredWeight": 2.0}
    error = refused(
        endpoints.call,
        "UpdateEndpointWeightsAndCapacities",
        EndpointName=name,
        DesiredWeightsAndCapacities=[wish, wish],
    )
    assert error.message == 'The variant name "AllTraffic" was non-unique within the request.'


def test_scaling_past_the_limit_is_refused(endpoints: Endpoints) -> None:
    name = endpoints.serve(constant(1))
    error = refused(scale, endpoints, name, DesiredInstanceCount=100)
    assert error.code == "ResourceLimitExceeded"
    assert "current utilization of 1 Instances and a request delta of 99" in error.message


def test_variant_properties_are_retained_when_asked(endpoints: Endpoints) -> None:
    capture = {
        "EnableCapture": True,
        "InitialSamplingPercentage": 50,
        "DestinationS3Uri": f"s3://{BUCKET}/capture",
        "CaptureOptions": [{"CaptureMode": "Input"}],
    }
    config = endpoints.config(endpoints.variant(constant(1)), DataCaptureConfig=capture)
    name = endpoints.create(config)
    endpoints.settled(name)
    scale(endpoints, name, DesiredInstanceCount=2, DesiredWeight=3)
    new = endpoints.config(endpoints.variant(constant(2)))
    kept = update(
        endpoints,
        name,
        new,
        RetainAllVariantProperties=True,
        ExcludeRetainedVariantProperties=[{"VariantPropertyType": "DesiredWeight"}],
    )
    [variant] = kept["ProductionVariants"]
    assert (variant["CurrentInstanceCount"], variant["CurrentWeight"]) == (2, 1.0)
    assert kept["DataCaptureConfig"]["CurrentSamplingPercentage"] == 50
    reset = update(endpoints, name, new)
    assert reset["ProductionVariants"][0]["CurrentInstanceCount"] == 1
    assert "DataCaptureConfig" not in reset


def test_exclusions_without_retention_are_refused(endpoints: Endpoints) -> None:
    name = endpoints.serve(constant(1))
    config = endpoints.describe(name)["EndpointConfigName"]
    excluded = [{"VariantPropertyType": "DesiredWeight"}]
    error = refused(update, endpoints, name, config, ExcludeRetainedVariantProperties=excluded)
    assert "RetainAllVariantProperties" in error.message


def routing(kind: str, **members: Any) -> dict[str, Any]:
    traffic = {"Type": kind, "WaitIntervalInSeconds": 0}
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": traffic, **members}}


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (routing("CANARY"), "CANARY"),
        (routing("LINEAR"), "LINEAR"),
        (
            {
                "RollingUpdatePolicy": {
                    "MaximumBatchSize": {"Type": "INSTANCE_COUNT", "Value": 1},
                    "WaitIntervalInSeconds": 0,
                }
            },
            "rolling",
        ),
        ({"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "a"}]}}, "alarms"),
        (
            routing(
                "ALL_AT_ONCE",
                TerminationWaitInSeconds=600,
                MaximumExecutionTimeoutInSeconds=600,
            ),
            "must be less than MaximumExecutionTimeoutInSeconds",
        ),
    ],
)
def test_deployments_that_are_not_emulated_are_refused(
    endpoints: Endpoints, config: dict[str, Any], words: str
) -> None:
    name = endpoints.serve(constant(1))
    served = endpoints.describe(name)["EndpointConfigName"]
    assert words in refused(update, endpoints, name, served, DeploymentConfig=config).message


def test_the_old_servers_stay_for_the_time_that_was_asked_for(endpoints: Endpoints) -> None:
    name = endpoints.serve(constant("old"))
    [old] = endpoints.variants(name)[0].fleet.servers
    new = endpoints.config(endpoints.variant(constant("new")))
    policy = routing("ALL_AT_ONCE", TerminationWaitInSeconds=1)
    endpoints.call(
        "UpdateEndpoint", EndpointName=name, EndpointConfigName=new, DeploymentConfig=policy
    )

    def baking() -> bool:
        pending = endpoints.describe(name).get("PendingDeploymentSummary", {})
        variants = pending.get("ProductionVariants", [{}])
        return bool(variants[0].get("VariantStatus", [{}])[0].get("Status") == "Baking")

    wait_until(baking, what="the deployment bakes")
    assert endpoints.answer(name) == ["new"]
    assert old.ready
    assert endpoints.settled(name)["LastDeploymentConfig"] == policy
    assert not old.ready


def test_an_update_lasts_until_the_old_servers_have_ended(endpoints: Endpoints) -> None:
    name = endpoints.serve(WAITS)
    [old] = endpoints.variants(name)[0].fleet.servers
    new = endpoints.config(endpoints.variant(constant("new")))
    with ThreadPoolExecutor() as pool:
        call = pool.submit(endpoints.invoke, name, b"[1]")
        wait_until(lambda: old.outstanding)
        endpoints.call("UpdateEndpoint", EndpointName=name, EndpointConfigName=new)
        wait_until(lambda: old not in endpoints.variants(name)[0].fleet.servers)
        assert endpoints.answer(name) == ["new"]
        assert endpoints.describe(name)["EndpointStatus"] == "Updating"
        (old.directory / "go-on").touch()
        assert call.result()["Body"] == b"[1]"
    assert endpoints.settled(name)["EndpointStatus"] == "InService"
    assert not old.directory.exists()
