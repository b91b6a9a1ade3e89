"""An endpoint of a stack takes its time: created, updated and deleted step by step."""

import pytest

from sagestack.aws.errors import AwsError
from sagestack.cloudformation import types
from sagestack.cloudformation.provider import ResourceFailed
from tests.emulator.endpoints import BROKEN, constant
from tests.emulator.stacks import Resources


@pytest.fixture
def resources(context):
    return Resources(context)


def test_create_is_done_when_the_endpoint_is_in_service(resources):
    endpoint = resources.endpoint()
    name = endpoint["EndpointName"]
    described = resources.call("sagemaker", "DescribeEndpoint", EndpointName=name)
    assert described["EndpointStatus"] == "InService"
    assert endpoint["Id"] == described["EndpointArn"]


def test_the_first_step_of_an_endpoint_comes_back_at_once(resources):
    config = resources.config()["EndpointConfigName"]
    step = resources.provider(types.ENDPOINT).create({"EndpointConfigName": config})
    assert (step.done, step.phase) == (False, "created")


def test_an_endpoint_that_fails_tells_why_and_what_there_is(resources):
    with pytest.raises(ResourceFailed) as caught:
        resources.endpoint(BROKEN)
    assert "did not pass the ping health check" in caught.value.reason
    resources.delete(types.ENDPOINT, caught.value.model)
    assert resources.call("sagemaker", "ListEndpoints")["Endpoints"] == []


def test_an_endpoint_is_updated_in_place(resources):
    endpoint = resources.endpoint(constant(1))
    config = resources.config(constant(2))["EndpointConfigName"]
    updated = resources.update(types.ENDPOINT, {"EndpointConfigName": config}, endpoint)
    assert updated["Id"] == endpoint["Id"]
    described = resources.call(
        "sagemaker", "DescribeEndpoint", EndpointName=endpoint["EndpointName"]
    )
    assert (described["EndpointStatus"], described["EndpointConfigName"]) == ("InService", config)


def test_an_endpoint_update_that_fails_tells_what_is_deployed(resources):
    endpoint = resources.endpoint(constant(1))
    config = resources.config(BROKEN)["EndpointConfigName"]
    with pytest.raises(ResourceFailed) as caught:
        resources.update(types.ENDPOINT, {"EndpointConfigName": config}, endpoint)
    assert "did not pass the ping health check" in caught.value.reason
    assert caught.value.model["EndpointConfigName"] == endpoint["EndpointConfigName"]


def test_an_endpoint_whose_tags_alone_change_is_not_deployed_again(resources):
    endpoint = resources.endpoint()
    name, properties = endpoint["EndpointName"], {"Tags": [{"Key": "a", "Value": "1"}]}
    before = resources.call("sagemaker", "DescribeEndpoint", EndpointName=name)
    properties["EndpointConfigName"] = endpoint["EndpointConfigName"]
    step = resources.provider(types.ENDPOINT).update(properties, endpoint)
    assert step.done
    after = resources.call("sagemaker", "DescribeEndpoint", EndpointName=name)
    assert after["LastModifiedTime"] == before["LastModifiedTime"]
    assert resources.tags(endpoint["Id"])["a"] == "1"


def test_delete_is_done_when_the_endpoint_is_gone(resources):
    endpoint = resources.endpoint()
    resources.delete(types.ENDPOINT, endpoint)
    with pytest.raises(AwsError):
        resources.call("sagemaker", "DescribeEndpoint", EndpointName=endpoint["EndpointName"])


def test_delete_waits_for_an_endpoint_that_is_being_made(resources):
    config = resources.config()["EndpointConfigName"]
    step = resources.provider(types.ENDPOINT).create({"EndpointConfigName": config})
    resources.delete(types.ENDPOINT, step.model)
    assert resources.provider(types.ENDPOINT).read(step.model) is None
