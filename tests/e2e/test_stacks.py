"""Stacks on a live LocalStack: deployed, changed, refused, rolled back, deleted."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from sagestack.server import Server, localstack_environment
from tests.e2e.stack import (
    ACCOUNT,
    BUCKET,
    ROLE,
    Cloud,
    Stack,
    bucket,
    database,
    get_att,
    model,
    outputs,
    resource,
    serving,
    unsupported,
)

pytestmark = pytest.mark.e2e
SERVING_OUTPUTS = outputs(
    Model={"Ref": "Model"},
    ModelName=get_att(["Model", "ModelName"]),
    Config={"Ref": "Config"},
    ConfigName=get_att(["Config", "EndpointConfigName"]),
    Endpoint={"Ref": "Endpoint"},
    EndpointName=get_att(["Endpoint", "EndpointName"]),
)


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        server = Server(probe.getsockname()[1])
    process = server.start(localstack_environment(), {})
    try:
        server.wait_until_ready(process)
        with pytest.MonkeyPatch.context() as environment:
            environment.delenv("AWS_ENDPOINT_URL", raising=False)
            yield Cloud(f"{server.host}:{server.port}")
    finally:
        server.stop()
        shutil.rmtree(server.directory)


@pytest.fixture
def stack(cloud: Cloud) -> Iterator[Stack]:
    stack = Stack(cloud)
    yield stack
    if stack.id:
        stack.delete()
    assert cloud.buckets() == {BUCKET}
    assert (cloud.models(), cloud.databases()) == (set(), {})
    assert cloud.sagemaker.list_endpoints()["Endpoints"] == []
    assert cloud.sagemaker.list_endpoint_configs()["EndpointConfigs"] == []


# Deployed


def test_a_stack_serves_its_model(stack: Stack, cloud: Cloud) -> None:
    status = stack.create(serving(), template=SERVING_OUTPUTS, Tags=[{"Key": "team", "Value": "a"}])
    assert status == "CREATE_COMPLETE", stack.describe()
    values = stack.outputs()
    assert values["Endpoint"].endswith(f":endpoint/{values['EndpointName'].lower()}")
    assert values["Config"].endswith(f":endpoint-config/{values['ConfigName'].lower()}")
    assert values["Model"].endswith(f":model/{values['ModelName'].lower()}")
    assert cloud.ask(values["EndpointName"]) == "[1]"
    for name in ("Model", "Config", "Endpoint"):
        tags = cloud.sagemaker.list_tags(ResourceArn=values[name])["Tags"]
        assert tags == [{"Key": "team", "Value": "a"}]


def test_a_new_model_is_served_by_the_same_endpoint(stack: Stack, cloud: Cloud) -> None:
    stack.deploy(serving(), "CREATE", template=SERVING_OUTPUTS)
    before = stack.outputs()
    status = stack.deploy(serving("two.tar.gz"), "UPDATE", template=SERVING_OUTPUTS)
    assert status == "UPDATE_COMPLETE", stack.describe()
    after = stack.outputs()
    assert after["Endpoint"] == before["Endpoint"]
    assert cloud.ask(after["EndpointName"]) == "[2]"
    assert cloud.models() == {after["ModelName"]} != {before["ModelName"]}
    assert stack.resources() == {name: after[name] for name in ("Model", "Config", "Endpoint")}


def test_a_catalog_and_a_job(stack: Stack, cloud: Cloud) -> None:
    where = {"CatalogId": ACCOUNT, "DatabaseName": {"Ref": "Database"}}
    keys = [{"Name": "year", "Type": "string"}]
    resources = {
        "Database": database(),
        "Table": resource("Glue::Table", **where, TableInput={"Name": "t", "PartitionKeys": keys}),
        "Partition": resource(
            "Glue::Partition",
            **where,
            TableName={"Ref": "Table"},
            PartitionInput={"Values": ["2024"]},
        ),
        "Job": resource(
            "Glue::Job",
            Role=ROLE,
            Command={"Name": "pythonshell", "ScriptLocation": f"s3://{BUCKET}/a.py"},
            MaxCapacity="0.0625",
        ),
    }
    assert stack.create(resources) == "CREATE_COMPLETE", stack.describe()
    ids = stack.resources()
    partitions = cloud.glue.get_partitions(DatabaseName=ids["Database"], TableName=ids["Table"])
    assert [found["Values"] for found in partitions["Partitions"]] == [["2024"]]
    assert cloud.glue.get_job(JobName=ids["Job"])["Job"]["MaxCapacity"] == 0.0625


def test_a_renamed_table_is_replaced(stack: Stack, cloud: Cloud) -> None:
    def resources(name: str) -> dict[str, object]:
        where = {"CatalogId": ACCOUNT, "DatabaseName": {"Ref": "Database"}}
        table = resource("Glue::Table", **where, TableInput={"Name": name})
        return {"Database": database(), "Table": table}

    stack.create(resources("one"))
    assert stack.update(resources("two")) == "UPDATE_COMPLETE"
    tables = cloud.glue.get_tables(DatabaseName=stack.resources()["Database"])["TableList"]
    assert [table["Name"] for table in tables] == ["two"]


def test_nothing_changed(stack: Stack) -> None:
    stack.create({"Model": model()})
    with pytest.raises(ClientError, match="No updates are to be performed"):
        stack.update({"Model": model()})
    change_set = stack.change_set({"Model": model()}, "UPDATE")
    assert change_set["Status"] == "FAILED"
    assert "didn't contain changes" in change_set["StatusReason"]


def test_a_resource_whose_condition_ends_is_deleted(stack: Stack, cloud: Cloud) -> None:
    template = {
        "Parameters": {"On": {"Type": "String"}},
        "Conditions": {"IsOn": {"Fn::Equals": [{"Ref": "On"}, "yes"]}},
    }
    resources = {"Always": database(), "Sometimes": {**database(), "Condition": "IsOn"}}
    for value, expected in (("yes", 2), ("no", 1)):
        parameters = [{"ParameterKey": "On", "ParameterValue": value}]
        act = stack.update if stack.id else stack.create
        act(resources, template=template, Parameters=parameters)
        assert len(cloud.databases()) == expected


# Refused


@pytest.mark.parametrize(
    "kind", ["SageMaker::Pipeline", "Glue::Crawler", "Athena::WorkGroup", "SageMaker::NoSuchThing"]
)
@pytest.mark.parametrize("way", ["stack", "change set"])
def test_a_type_that_does_not_run_fails_its_stack(
    stack: Stack, cloud: Cloud, kind: str, way: str
) -> None:
    refused = {**resource(kind), "DependsOn": "Bucket"}
    resources = {"Bucket": bucket("made-before"), "Refused": refused}
    status = stack.create(resources) if way == "stack" else stack.deploy(resources, "CREATE")
    assert status == "ROLLBACK_COMPLETE"
    reason = stack.reason("Refused")
    assert reason.startswith(f"AWS::{kind} is not supported by sagestack. Supported: AWS::Glue")
    assert cloud.buckets() == {BUCKET}


def test_types_of_other_services_are_localstacks_own_business(stack: Stack) -> None:
    assert stack.create({"Theme": resource("QuickSight::Theme")}) == "CREATE_COMPLETE"


def test_an_attribute_that_does_not_exist_fails_the_stack(stack: Stack) -> None:
    status = stack.create({"Model": model()}, template=outputs(X=get_att(["Model", "Colour"])))
    assert status == "ROLLBACK_COMPLETE"
    assert "does not support attribute type Colour" in stack.describe()["StackStatusReason"]


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


# Deleted


def test_what_is_gone_already_does_not_stop_a_deletion(stack: Stack, cloud: Cloud) -> None:
    stack.create({"Model": model(ModelName="gone"), "Database": database()})
    cloud.sagemaker.delete_model(ModelName="gone")
    assert stack.delete() == "DELETE_COMPLETE"


def test_a_stack_is_not_deleted_while_a_resource_of_it_is_there(stack: Stack, cloud: Cloud) -> None:
    role = resource("IAM::Role", RoleName="held", AssumeRolePolicyDocument={"Statement": []})
    stack.create({"Role": role, "Model": model()})
    cloud.iam.create_instance_profile(InstanceProfileName="holder")
    cloud.iam.add_role_to_instance_profile(InstanceProfileName="holder", RoleName="held")
    assert stack.delete() == "DELETE_FAILED"
    assert stack.describe()["StackStatusReason"] == (
        "The following resource(s) failed to delete: [Role]."
    )
    cloud.iam.remove_role_from_instance_profile(InstanceProfileName="holder", RoleName="held")
    assert stack.delete() == "DELETE_COMPLETE"
