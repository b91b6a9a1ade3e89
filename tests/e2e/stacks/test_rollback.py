"""Stacks that fail on a live LocalStack: rolled back, or left as they are and mended."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from tests.e2e.stacks.stack import (
    BUCKET,
    SERVING_OUTPUTS,
    Cloud,
    Stack,
    bucket,
    database,
    model,
    outputs,
    serving,
    unsupported,
)

# Rolled back


def test_an_endpoint_that_does_not_start_takes_its_stack_back(stack: Stack) -> None:
    assert stack.create(serving("broken.tar.gz")) == "ROLLBACK_COMPLETE"
    assert "did not pass the ping health check" in stack.reason("Endpoint")
    assert stack.resources() == {}
    assert "[Endpoint]" in stack.describe()["StackStatusReason"]


def test_an_endpoint_that_can_not_be_updated_goes_on_as_before(stack: Stack, cloud: Cloud) -> None:
    stack.create(serving(), template=SERVING_OUTPUTS)
    before = stack.resources()
    status = stack.update(serving("broken.tar.gz"), template=SERVING_OUTPUTS)
    assert status == "UPDATE_ROLLBACK_COMPLETE"
    assert stack.resources() == before
    values = stack.outputs()
    assert cloud.models() == {values["ModelName"]}
    assert cloud.ask(values["EndpointName"]) == "[1]"


@pytest.mark.parametrize("way", ["stack", "change set"])
def test_a_failed_update_leaves_everything_as_it_was(stack: Stack, cloud: Cloud, way: str) -> None:
    old = {
        "Changed": database("old"),
        "Replaced": database("old", DatabaseName="replaced"),
        "Removed": database("old"),
    }
    new = {
        "Changed": database("new"),
        "Replaced": database("new", DatabaseName="replacement"),
        "Added": bucket("added"),
        "Failing": unsupported("Changed", "Replaced", "Added"),
    }
    stack.create(old)
    resources, databases = stack.resources(), cloud.databases()
    status = stack.update(new) if way == "stack" else stack.deploy(new, "UPDATE")
    assert status == "UPDATE_ROLLBACK_COMPLETE"
    assert (stack.resources(), cloud.databases()) == (resources, databases)
    assert cloud.buckets() == {BUCKET}
    del new["Failing"]
    assert stack.update(new) == "UPDATE_COMPLETE"
    assert set(stack.resources()) == {"Changed", "Replaced", "Added"}


def test_a_resource_of_someone_elses_name_is_left_alone(stack: Stack, cloud: Cloud) -> None:
    first = Stack(cloud)
    first.create({"Model": model(ModelName="taken")})
    assert stack.create({"Model": model(ModelName="taken")}) == "ROLLBACK_COMPLETE"
    assert "Cannot create already existing model" in stack.reason("Model")
    stack.delete()
    assert cloud.models() == {"taken"}
    first.delete()


def test_a_custom_name_stands_against_replacement(stack: Stack) -> None:
    stack.create({"Model": model(ModelName="mine")})
    changed = {"Model": model("two.tar.gz", ModelName="mine")}
    assert stack.update(changed) == "UPDATE_ROLLBACK_COMPLETE"
    assert stack.reason("Model") == (
        "CloudFormation cannot update a stack when a custom-named resource requires replacing. "
        "Rename mine and update the stack again."
    )


def test_what_is_to_be_retained_survives_a_rollback(stack: Stack, cloud: Cloud) -> None:
    kept = {**model(ModelName="kept"), "DeletionPolicy": "Retain"}
    assert stack.create({"Kept": kept, "Failing": unsupported("Kept")}) == "ROLLBACK_COMPLETE"
    assert cloud.models() == {"kept"}
    cloud.sagemaker.delete_model(ModelName="kept")


def test_a_stack_that_was_rolled_back_can_only_be_deleted(stack: Stack) -> None:
    stack.create({"Failing": unsupported()})
    for update in (stack.update, lambda resources: stack.change_set(resources, "UPDATE")):
        with pytest.raises(ClientError, match="in ROLLBACK_COMPLETE state and can not be updated"):
            update({"Model": model()})
    assert stack.delete() == "DELETE_COMPLETE"


def test_a_change_set_leaves_the_status_of_its_stack_alone(stack: Stack) -> None:
    stack.create({"Model": model()})
    stack.update({"Model": model(), "Failing": unsupported()})
    stack.change_set({"Model": model("two.tar.gz")}, "UPDATE")
    assert stack.settled() == "UPDATE_ROLLBACK_COMPLETE"


# Not rolled back


def test_without_rollback_the_next_update_does_the_rest(stack: Stack, cloud: Cloud) -> None:
    # The output is of a resource whose turn never comes.
    template = outputs(Database={"Ref": "Database"})
    failing = {"Model": model(), "Failing": unsupported("Model")}
    later = {"Database": {**database(), "DependsOn": "Failing"}}
    status = stack.deploy({**failing, **later}, "CREATE", disable_rollback=True, template=template)
    assert status == "CREATE_FAILED"
    kept = cloud.models()
    assert len(kept) == 1
    mended = {"Model": model(), "Database": database()}
    assert stack.deploy(mended, "UPDATE", template=template) == "UPDATE_COMPLETE"
    assert list(stack.outputs().values()) == list(cloud.databases())
    assert (cloud.models(), len(cloud.databases())) == (kept, 1)


def test_what_an_update_without_rollback_left_is_deleted_with_the_stack(stack: Stack) -> None:
    stack.create({"Database": database()})
    changed = {"Model": model(), "Failing": unsupported("Model")}
    assert stack.deploy(changed, "UPDATE", disable_rollback=True) == "UPDATE_FAILED"
    assert set(stack.resources()) == {"Database", "Model"}


def test_without_rollback_a_failed_endpoint_stays_until_it_is_mended(
    stack: Stack, cloud: Cloud
) -> None:
    stack.create(serving("broken.tar.gz"), DisableRollback=True)
    endpoint = cloud.sagemaker.list_endpoints()["Endpoints"][0]
    assert endpoint["EndpointStatus"] == "Failed"
    assert stack.update(serving()) == "UPDATE_COMPLETE"
    (endpoint,) = cloud.sagemaker.list_endpoints()["Endpoints"]
    assert endpoint["EndpointStatus"] == "InService"


def test_on_failure_delete_leaves_nothing(stack: Stack) -> None:
    resources = {"Model": model(), "Failing": unsupported("Model")}
    assert stack.create(resources, OnFailure="DELETE") == "DELETE_COMPLETE"
