"""Stacks on a live LocalStack: deployed, changed, refused, rolled back, deleted."""

from __future__ import annotations

import concurrent.futures
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e.stacks.stack import (
    ACCOUNT,
    BUCKET,
    ROLE,
    SERVING_OUTPUTS,
    Cloud,
    Stack,
    bucket,
    database,
    get_att,
    model,
    outputs,
    resource,
    serving,
)
from tests.waiting import wait_until

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


def test_a_nested_stack_is_updated_and_rolled_back_with_its_parent(
    stack: Stack, cloud: Cloud
) -> None:
    url = cloud.put_template(
        "nested.json",
        {
            "Parameters": {"Archive": {"Type": "String"}},
            "Resources": serving({"Ref": "Archive"}),
            **SERVING_OUTPUTS,
        },
    )
    endpoint = outputs(Endpoint=get_att(["Nested", "Outputs.EndpointName"]))

    def parent(archive: str) -> dict[str, Any]:
        nested = resource("CloudFormation::Stack", TemplateURL=url, Parameters={"Archive": archive})
        return {"Nested": nested, "Database": database()}

    assert stack.create(parent("one.tar.gz"), template=endpoint) == "CREATE_COMPLETE"
    name = stack.outputs()["Endpoint"]
    assert cloud.ask(name) == "[1]"
    assert stack.update(parent("two.tar.gz"), template=endpoint) == "UPDATE_COMPLETE"
    assert (stack.outputs()["Endpoint"], cloud.ask(name)) == (name, "[2]")
    assert stack.update(parent("broken.tar.gz"), template=endpoint) == "UPDATE_ROLLBACK_COMPLETE"
    assert "not successfully updated" in stack.reason("Nested")
    assert cloud.ask(name) == "[2]"


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


@pytest.mark.parametrize("beside", [{}, {"Model": model()}], ids=["alone", "beside a model"])
def test_scaling_of_an_endpoint_is_refused(stack: Stack, beside: dict[str, Any]) -> None:
    scaling = {
        "Type": "AWS::ApplicationAutoScaling::ScalableTarget",
        "Properties": {
            "ServiceNamespace": "sagemaker",
            "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
            "ResourceId": "endpoint/flights/variant/all",
            "MinCapacity": 1,
            "MaxCapacity": 2,
        },
    }
    assert stack.create({**beside, "Scaling": scaling}) == "ROLLBACK_COMPLETE"
    assert "ScalableTarget of an endpoint is not supported" in stack.reason("Scaling")


def test_types_of_other_services_are_localstacks_own_business(stack: Stack) -> None:
    assert stack.create({"Theme": resource("QuickSight::Theme")}) == "CREATE_COMPLETE"


def test_an_attribute_that_does_not_exist_fails_the_stack(stack: Stack) -> None:
    status = stack.create({"Model": model()}, template=outputs(X=get_att(["Model", "Colour"])))
    assert status == "ROLLBACK_COMPLETE"
    assert "does not support attribute type Colour" in stack.describe()["StackStatusReason"]


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
    assert stack.delete(RetainResources=["Role"]) == "DELETE_COMPLETE"
    assert cloud.iam.get_role(RoleName="held")
    cloud.iam.remove_role_from_instance_profile(InstanceProfileName="holder", RoleName="held")
    cloud.iam.delete_role(RoleName="held")


def test_a_stack_is_deleted_while_it_is_created(stack: Stack, cloud: Cloud) -> None:
    with concurrent.futures.ThreadPoolExecutor() as pool:
        created = pool.submit(stack.create, serving("slow.tar.gz"))
        wait_until(lambda: cloud.endpoints() == {"Creating"}, 60, "the endpoint is creating")
        assert stack.delete() == "DELETE_COMPLETE"
        assert created.result() == "DELETE_COMPLETE"
    assert stack.reason("Endpoint") == "Resource creation cancelled"
    assert (cloud.models(), cloud.endpoints()) == (set(), set())


def test_a_stack_that_is_being_updated_is_left_alone(stack: Stack, cloud: Cloud) -> None:
    stack.create(serving())
    with concurrent.futures.ThreadPoolExecutor() as pool:
        updated = pool.submit(stack.update, serving("slow.tar.gz"))
        wait_until(lambda: cloud.endpoints() == {"Updating"}, 60, "the endpoint is updating")
        with pytest.raises(ClientError, match="cannot be deleted while in status UPDATE_IN_PROG"):
            stack.delete()
        with pytest.raises(ClientError, match="is in UPDATE_IN_PROGRESS state and can not be upd"):
            stack.update(serving("two.tar.gz"))
        assert updated.result() == "UPDATE_COMPLETE"
