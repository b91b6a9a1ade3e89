"""What a template says, as the operations take it. Names, schemas, tags."""

import re
import tomllib
from functools import cache
from pathlib import Path

import botocore.session
import pytest

from sagestack.cloudformation import tags, types
from sagestack.cloudformation.conversion import convert
from sagestack.cloudformation.mapping import ID, converted, replaced, request_for, same_resource
from sagestack.cloudformation.names import physical_name
from sagestack.cloudformation.registry import (
    NAMESPACES,
    PropertiesInvalid,
    is_ours,
    registered_types,
    schema_of,
    value_at,
)
from sagestack.cloudformation.types import SUPPORTED_TYPES, refusal

ROOT = Path(__file__).parents[2]
TABLE = {"CatalogId": "000000000000", "DatabaseName": "db", "TableInput": {"Name": "t"}}
DEPLOYED_TABLE = {**TABLE, "Name": "t", ID: "t"}


@cache
def shape(service, operation, *path):
    model = botocore.session.get_session().get_service_model(service)
    found = model.operation_model(operation).input_shape
    for name in path:
        found = found.members[name] if found.type_name == "structure" else found.member
    return found


# Conversion


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (["InitialInstanceCount"], "2", 2),
        (["InitialInstanceCount"], "two", "two"),
        (["InitialInstanceCount"], 2, 2),
        (["InitialVariantWeight"], "0.5", 0.5),
        (["ModelName"], 12, "12"),
        (["ModelName"], True, "true"),
        (["EnableSSMAccess"], "true", True),
        (["EnableSSMAccess"], "False", False),
        (["EnableSSMAccess"], "maybe", "maybe"),
        (["ServerlessConfig"], {"MemorySizeInMB": "2048"}, {"MemorySizeInMB": 2048}),
        (["ServerlessConfig"], {"MaxConcurrency": None}, {}),
    ],
)
def test_scalars_become_what_the_operation_wants(path, value, expected):
    wanted = shape("sagemaker", "CreateEndpointConfig", "ProductionVariants", "", *path)
    assert convert(wanted, value) == expected


def test_values_of_a_map_become_texts():
    arguments = {"--rows": 5, "--dry-run": False, "--rate": 0.5, "--tables": ["a"]}
    assert convert(shape("glue", "CreateJob", "DefaultArguments"), arguments) == {
        "--rows": "5",
        "--dry-run": "false",
        "--rate": "0.5",
        "--tables": '["a"]',
    }


def test_an_unknown_nested_property_is_an_error_with_its_path():
    variants = [{"VariantName": "a"}, {"VariantName": "b", "Colour": "blue"}]
    wanted = shape("sagemaker", "CreateEndpointConfig", "ProductionVariants")
    with pytest.raises(PropertiesInvalid) as caught:
        convert(wanted, variants, "#/ProductionVariants")
    assert str(caught.value) == "#/ProductionVariants/1: extraneous key [Colour] is not permitted"


def test_conversion_leaves_the_template_alone():
    properties = {"ProductionVariants": [{"InitialInstanceCount": "1"}]}
    converted(types.ENDPOINT_CONFIG, properties)
    assert properties == {"ProductionVariants": [{"InitialInstanceCount": "1"}]}


# Requests


def test_a_request_takes_the_properties_its_operation_knows():
    properties = {
        "EndpointName": "e",
        "EndpointConfigName": "c",
        "RetainAllVariantProperties": True,
    }
    create = request_for(types.ENDPOINT, types.ENDPOINT.create, properties)
    assert create == {"EndpointName": "e", "EndpointConfigName": "c"}
    assert request_for(types.ENDPOINT, types.ENDPOINT.update, properties) == properties


def test_members_of_other_names_are_filled():
    partition = {"DatabaseName": "db", "TableName": "t", "PartitionInput": {"Values": ["1"]}}
    assert request_for(types.PARTITION, types.PARTITION.read, partition) == {
        "DatabaseName": "db",
        "TableName": "t",
        "PartitionValues": ["1"],
    }


def test_an_update_may_take_the_properties_in_one_member():
    job = {"Name": "j", "Role": "r", "Timeout": "5", "Tags": {"a": "b"}}
    assert request_for(types.JOB, types.JOB.update, job) == {
        "JobName": "j",
        "JobUpdate": {"Role": "r", "Timeout": 5},
    }


# Replacement


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ({"ModelName": "a"}, {"ModelName": "a"}, []),
        ({"ModelName": "a"}, {"ModelName": "b"}, ["ModelName"]),
        ({"ModelName": "a"}, {}, ["ModelName"]),
        ({}, {"ModelName": "generated"}, []),
        ({"Tags": []}, {"Tags": [{"Key": "a", "Value": "b"}]}, []),
        ({"EnableNetworkIsolation": "true"}, {"EnableNetworkIsolation": True}, []),
    ],
)
def test_replacement_is_decided_by_values(before, after, expected):
    deployed = {**before, "ModelName": before.get("ModelName", "generated")}
    assert replaced(types.MODEL, before, after, deployed) == expected


def test_a_new_name_inside_a_property_makes_a_new_table():
    renamed = {**TABLE, "TableInput": {"Name": "other"}}
    assert replaced(types.TABLE, TABLE, renamed, DEPLOYED_TABLE) == ["TableInput/Name", "Name"]


def test_other_columns_do_not_make_a_new_table():
    wider = {**TABLE, "TableInput": {"Name": "t", "Description": "wider"}}
    assert replaced(types.TABLE, TABLE, wider, DEPLOYED_TABLE) == []


def test_a_database_renamed_in_its_input_is_a_new_one():
    before = {"CatalogId": "0", "DatabaseInput": {"Name": "a"}}
    after = {"CatalogId": "0", "DatabaseInput": {"Name": "b"}}
    deployed = {**before, "DatabaseName": "a"}
    assert replaced(types.DATABASE, before, after, deployed) == ["DatabaseName"]


def test_the_same_name_in_another_database_is_another_table():
    assert same_resource(types.TABLE, TABLE, DEPLOYED_TABLE)
    assert not same_resource(types.TABLE, {**TABLE, "DatabaseName": "other"}, DEPLOYED_TABLE)
    assert not same_resource(types.MODEL, {}, {"ModelName": "generated"})


# Schemas


def test_missing_and_unknown_properties_are_told_as_cloudformation_does():
    with pytest.raises(PropertiesInvalid) as caught:
        schema_of("AWS::SageMaker::EndpointConfig").check({"Colour": "blue"})
    assert str(caught.value) == (
        "#: required key [ProductionVariants] not found\n"
        "#: extraneous key [Colour] is not permitted"
    )


def test_a_read_only_property_can_not_be_set():
    with pytest.raises(PropertiesInvalid, match=r"extraneous key \[ModelArn\]"):
        schema_of("AWS::SageMaker::Model").check({"ModelArn": "arn"})


def test_the_registry_has_the_types_of_the_three_services():
    assert set(SUPPORTED_TYPES) < set(registered_types())
    assert all(is_ours(name) for name in registered_types())
    assert {name.rsplit("::", 1)[0] + "::" for name in registered_types()} == set(NAMESPACES)


@pytest.mark.parametrize("kind", SUPPORTED_TYPES.values(), ids=list(SUPPORTED_TYPES))
def test_a_type_refers_to_properties_it_has(kind):
    known = kind.schema.properties
    renamed = (
        path
        for call in (kind.create, kind.read, kind.update, kind.delete)
        if call
        for path in call.renamed.values()
    )
    for path in (*kind.ref, *kind.names, *kind.attributes, *renamed):
        assert path.split("/")[0] in known


def test_each_supported_type_is_an_entry_point():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    group = project["entry-points"]["localstack.cloudformation.resource_providers"]
    assert set(group) == set(SUPPORTED_TYPES)


def test_a_refusal_names_the_type_and_what_is_supported():
    text = refusal("AWS::SageMaker::Pipeline")
    assert text.startswith("AWS::SageMaker::Pipeline is not supported by sagestack. Supported: ")
    assert all(name in text for name in SUPPORTED_TYPES)


def test_value_at_a_path():
    assert value_at({"A": {"B": 1}}, "A/B") == 1
    assert value_at({"A": None}, "A/B") is None
    assert value_at({"A": "text"}, "A/B") is None


# Names


@pytest.mark.parametrize(
    ("stack", "logical_id", "longest"),
    [("stack", "Model", 63), ("s" * 128, "L" * 255, 63), ("a-" * 64, "Model", 63)],
)
def test_a_made_up_name_fits(stack, logical_id, longest):
    name = physical_name(stack, logical_id, longest)
    assert len(name) <= longest
    assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9])*-[a-zA-Z0-9]{12}", name)
    assert name.startswith(stack[:20].rstrip("-"))


def test_made_up_names_differ():
    assert physical_name("s", "M", 63) != physical_name("s", "M", 63)


# Tags


def test_a_resource_tag_wins_over_the_stacks():
    own = [{"Key": "team", "Value": "own"}]
    assert tags.merged({"team": "stack", "stage": "dev"}, own) == {"team": "own", "stage": "dev"}
    assert tags.merged({}, {"a": 1}) == {"a": "1"}
    assert tags.merged({}, None) == {}


def test_changed_tags_are_added_and_missing_ones_removed():
    before, after = {"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "x", "d": "4"}
    assert tags.changes(before, after) == ({"b": "x", "d": "4"}, ["c"])
