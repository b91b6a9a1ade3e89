"""Validation: AWS's own text for what a service model does not allow."""

import io
from datetime import UTC, datetime
from functools import cache

import botocore.session
import pytest
from botocore.model import ServiceModel

from sagestack.aws.errors import AwsError, SerializationException, ValidationException
from sagestack.aws.patterns import matcher
from sagestack.aws.validation import validate

PATTERN = "Member must satisfy regular expression pattern"


@cache
def model_of(service):
    return botocore.session.get_session().get_service_model(service)


def check(service, operation, request):
    validate(model_of(service).operation_model(operation), request)


def message_of(service, operation, request, error=ValidationException):
    with pytest.raises(error) as caught:
        check(service, operation, request)
    return caught.value.message


def made_up(shapes, **members):
    """An operation whose request has these members, with shapes of our own."""
    description = {
        "metadata": {"serviceId": "Made up", "protocol": "json", "endpointPrefix": "made-up"},
        "operations": {"Do": {"name": "Do", "input": {"shape": "DoInput"}}},
        "shapes": {
            "DoInput": {
                "type": "structure",
                "members": {name: {"shape": shape} for name, shape in members.items()},
            },
            **shapes,
        },
    }
    return ServiceModel(description, "made-up").operation_model("Do")


def message_for(model, request):
    with pytest.raises(AwsError) as caught:
        validate(model, request)
    return caught.value.message


def endpoint_config(**variant):
    return {"EndpointConfigName": "c", "ProductionVariants": [{"VariantName": "v", **variant}]}


# What passes


def test_a_complete_request_passes():
    check(
        "sagemaker",
        "CreateModel",
        {
            "ModelName": "m-1",
            "ExecutionRoleArn": "arn:aws:iam::000000000000:role/service-role/sagemaker",
            "PrimaryContainer": {"Image": "repository:1", "Environment": {"A": "b", "C": ""}},
            "Tags": [{"Key": "équipe", "Value": "données + analyse"}],
        },
    )


def test_unknown_members_are_ignored():
    check("sagemaker", "DescribeModel", {"ModelName": "m", "Colour": "blue"})


def test_null_stands_for_absent():
    check("sagemaker", "ListModels", {"NameContains": None, "MaxResults": None})


def test_an_operation_without_input_takes_anything():
    description = {
        "metadata": {"serviceId": "Made up", "protocol": "json", "endpointPrefix": "made-up"},
        "operations": {"Do": {"name": "Do"}},
        "shapes": {},
    }
    validate(ServiceModel(description, "made-up").operation_model("Do"), {"A": 1})


@pytest.mark.parametrize("time", [datetime.now(UTC), 1700000000, 1.7e9, "2024-01-01T00:00:00Z"])
def test_a_timestamp_may_come_in_any_form(time):
    check("sagemaker", "ListModels", {"CreationTimeAfter": time})


@pytest.mark.parametrize("body", [b"1,2", "1,2", io.BytesIO(b"1,2"), b"", None, b"x" * 7_000_000])
def test_a_payload_is_left_to_its_operation(body):
    check("sagemaker-runtime", "InvokeEndpoint", {"EndpointName": "e", "Body": body})


# Scalars


def test_a_missing_member_is_null():
    assert message_of("sagemaker", "DescribeModel", {}) == (
        "1 validation error detected: Value null at 'modelName' failed to satisfy constraint: "
        "Member must not be null"
    )


def test_several_errors_are_counted_in_one_message():
    text = message_of("sagemaker", "CreateEndpoint", {"EndpointName": "-"})
    assert text == (
        "2 validation errors detected: "
        "Value '-' at 'endpointName' failed to satisfy constraint: "
        f"{PATTERN}: [a-zA-Z0-9](-*[a-zA-Z0-9]){{0,62}}; "
        "Value null at 'endpointConfigName' failed to satisfy constraint: Member must not be null"
    )


def test_a_value_can_break_two_constraints():
    text = message_of("sagemaker", "DescribeEndpoint", {"EndpointName": "e" * 64})
    assert text == (
        f"2 validation errors detected: Value '{'e' * 64}' at 'endpointName' failed to satisfy "
        "constraint: Member must have length less than or equal to 63; "
        f"Value '{'e' * 64}' at 'endpointName' failed to satisfy constraint: "
        f"{PATTERN}: [a-zA-Z0-9](-*[a-zA-Z0-9]){{0,62}}"
    )


def test_a_pattern_must_match_the_whole_value():
    text = message_of("sagemaker", "DescribeModel", {"ModelName": "my model"})
    assert text == (
        "1 validation error detected: Value 'my model' at 'modelName' failed to satisfy "
        rf"constraint: {PATTERN}: [a-zA-Z0-9]([\-a-zA-Z0-9]*[a-zA-Z0-9])?"
    )


def test_enum():
    text = message_of("sagemaker", "ListModels", {"SortOrder": "Up"})
    assert text == (
        "1 validation error detected: Value 'Up' at 'sortOrder' failed to satisfy constraint: "
        "Member must satisfy enum value set: [Ascending, Descending]"
    )


@pytest.mark.parametrize(
    ("value", "demand"), [(0, "greater than or equal to 1"), (101, "less than or equal to 100")]
)
def test_range(value, demand):
    assert message_of("sagemaker", "ListModels", {"MaxResults": value}) == (
        f"1 validation error detected: Value '{value}' at 'maxResults' failed to satisfy "
        f"constraint: Member must have value {demand}"
    )


def test_minimum_length():
    text = message_of("glue", "GetDatabase", {"Name": ""})
    assert text.startswith(
        "1 validation error detected: Value '' at 'name' failed to satisfy constraint: "
        "Member must have length greater than or equal to 1"
    )


def test_a_sensitive_value_is_not_repeated():
    secret = {"type": "string", "min": 6, "sensitive": True}
    assert message_for(made_up({"Secret": secret}, Password="Secret"), {"Password": "abc"}) == (
        "1 validation error detected: Value at 'password' failed to satisfy constraint: "
        "Member must have length greater than or equal to 6"
    )


def test_length_counts_as_java_does():
    model = made_up({"Short": {"type": "string", "max": 3}}, Name="Short")
    validate(model, {"Name": "aé語"})
    assert "less than or equal to 3" in message_for(model, {"Name": "a😀b"})


# Containers


def test_a_nested_member_has_a_path():
    text = message_of("sagemaker", "CreateEndpointConfig", endpoint_config(ModelName="a b"))
    assert text == (
        "1 validation error detected: Value 'a b' at 'productionVariants.1.member.modelName' "
        rf"failed to satisfy constraint: {PATTERN}: [a-zA-Z0-9]([\-a-zA-Z0-9]*[a-zA-Z0-9])?"
    )


def test_list_elements_count_from_one():
    variants = [{"VariantName": "a"}, {"VariantName": "b"}, {}]
    request = {"EndpointConfigName": "c", "ProductionVariants": variants}
    assert message_of("sagemaker", "CreateEndpointConfig", request) == (
        "1 validation error detected: Value null at 'productionVariants.3.member.variantName' "
        "failed to satisfy constraint: Member must not be null"
    )


def test_length_of_a_list():
    text = message_of(
        "sagemaker", "CreateEndpointConfig", {"EndpointConfigName": "c", "ProductionVariants": []}
    )
    assert text == (
        "1 validation error detected: Value '[]' at 'productionVariants' failed to satisfy "
        "constraint: Member must have length greater than or equal to 1"
    )


def test_scalars_in_a_list_are_blamed_on_the_list():
    vpc = {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1", "not a subnet"]}
    text = message_of("sagemaker", "CreateModel", {"ModelName": "m", "VpcConfig": vpc})
    assert text == (
        "1 validation error detected: Value '[subnet-1, not a subnet]' at 'vpcConfig.subnets' "
        "failed to satisfy constraint: Member must satisfy constraint: "
        "[Member must have length less than or equal to 32, "
        "Member must have length greater than or equal to 0, "
        f"{PATTERN}: [-0-9a-zA-Z]+]"
    )


def test_a_null_in_a_list():
    shapes = {"Names": {"type": "list", "member": {"shape": "Name"}}, "Name": {"type": "string"}}
    assert message_for(made_up(shapes, Names="Names"), {"Names": ["a", None]}) == (
        "1 validation error detected: Value null at 'names.2.member' failed to satisfy "
        "constraint: Member must not be null"
    )


def test_map_values():
    container = {"Image": "i", "Environment": {"A": "b" * 1025}}
    text = message_of("sagemaker", "CreateModel", {"ModelName": "m", "PrimaryContainer": container})
    assert text == (
        f"1 validation error detected: Value '{{A={'b' * 1025}}}' at "
        "'primaryContainer.environment' failed to satisfy constraint: "
        "Map value must satisfy constraint: [Member must have length less than or equal to 1024, "
        rf"Member must have length greater than or equal to 0, {PATTERN}: [\S\s]*]"
    )


def test_map_keys():
    container = {"Image": "i", "Environment": {"A-B": "1", "C": "2"}}
    text = message_of("sagemaker", "CreateModel", {"ModelName": "m", "PrimaryContainer": container})
    assert text == (
        "1 validation error detected: Value '{A-B=1, C=2}' at 'primaryContainer.environment' "
        "failed to satisfy constraint: Map keys must satisfy constraint: "
        "[Member must have length less than or equal to 1024, "
        "Member must have length greater than or equal to 0, "
        f"{PATTERN}: [a-zA-Z_][a-zA-Z0-9_]*]"
    )


def test_structures_in_a_map_have_a_path():
    shapes = {
        "Things": {"type": "map", "key": {"shape": "Name"}, "value": {"shape": "Thing"}},
        "Thing": {
            "type": "structure",
            "required": ["Colour"],
            "members": {"Colour": {"shape": "Name"}},
        },
        "Name": {"type": "string"},
    }
    assert message_for(made_up(shapes, Things="Things"), {"Things": {"a": {}}}) == (
        "1 validation error detected: Value null at 'things.a.member.colour' failed to satisfy "
        "constraint: Member must not be null"
    )


def test_a_shape_may_contain_itself():
    shapes = {
        "Node": {
            "type": "structure",
            "required": ["Name"],
            "members": {"Name": {"shape": "Name"}, "Next": {"shape": "Node"}},
        },
        "Name": {"type": "string"},
    }
    request = {"Node": {"Name": "a", "Next": {"Name": "b", "Next": {}}}}
    assert "'node.next.next.name'" in message_for(made_up(shapes, Node="Node"), request)


@pytest.mark.parametrize(("value", "passes"), [({"A": "1"}, True), ({"A": "1", "B": "2"}, False)])
def test_a_union_has_one_member(value, passes):
    members = {"A": {"shape": "Name"}, "B": {"shape": "Name"}}
    shapes = {
        "Either": {"type": "structure", "union": True, "members": members},
        "Name": {"type": "string"},
    }
    model = made_up(shapes, Either="Either")
    if passes:
        validate(model, {"Either": value})
    else:
        assert "'either' failed to satisfy constraint" in message_for(model, {"Either": value})


# Codes and types


@pytest.mark.parametrize(
    ("service", "operation", "request_", "code"),
    [
        ("sagemaker", "DescribeModel", {}, "ValidationException"),
        ("sagemaker-runtime", "InvokeEndpoint", {"EndpointName": "-"}, "ValidationError"),
        ("glue", "GetJob", {}, "ValidationException"),
        ("athena", "StartQueryExecution", {}, "InvalidRequestException"),
    ],
)
def test_each_service_has_its_code(service, operation, request_, code):
    with pytest.raises(ValidationException) as caught:
        check(service, operation, request_)
    assert (caught.value.code, caught.value.status) == (code, 400)


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        ({"MaxResults": "5"}, "STRING_VALUE can not be converted to an Integer"),
        ({"MaxResults": True}, "TRUE_VALUE can not be converted to an Integer"),
        ({"MaxResults": 1.5}, "DECIMAL_VALUE can not be converted to an Integer"),
        (
            {"MaxResults": 2**31},
            "Numeric value (2147483648) out of range of int (-2147483648 - 2147483647)",
        ),
        ({"NameContains": 5}, "NUMBER_VALUE can not be converted to a String"),
        ({"NameContains": False}, "FALSE_VALUE can not be converted to a String"),
        ({"NameContains": ["a"]}, "Start of list found where not expected."),
        ({"NameContains": {"a": 1}}, "Start of structure or map found where not expected."),
        ({"CreationTimeAfter": True}, "TRUE_VALUE can not be converted to a Timestamp"),
    ],
)
def test_wrong_type_of_a_scalar(request_, text):
    assert message_of("sagemaker", "ListModels", request_, SerializationException) == text


@pytest.mark.parametrize(
    ("request_", "text"),
    [
        ({"Tags": "a"}, "Expected list or null"),
        ({"Tags": {}}, "Start of structure or map found where not expected."),
        ({"PrimaryContainer": "a"}, "Expected map or null"),
        ({"PrimaryContainer": []}, "Start of list found where not expected."),
        ({"PrimaryContainer": {"Environment": 1}}, "Expected map or null"),
        (
            {"PrimaryContainer": {"Environment": {"A": 1}}},
            "NUMBER_VALUE can not be converted to a String",
        ),
        (
            {"VpcConfig": {"Subnets": [1], "SecurityGroupIds": ["sg"]}},
            "NUMBER_VALUE can not be converted to a String",
        ),
        ({"EnableNetworkIsolation": "true"}, "STRING_VALUE can not be converted to a Boolean"),
    ],
)
def test_wrong_type_in_a_structure(request_, text):
    request_ = {"ModelName": "m", **request_}
    assert message_of("sagemaker", "CreateModel", request_, SerializationException) == text


def test_a_wrong_type_comes_before_constraints():
    request = {"SortOrder": "Up", "MaxResults": "5"}
    message_of("sagemaker", "ListModels", request, SerializationException)


def test_a_whole_float_is_an_integer_and_numbers_may_be_infinite():
    check("sagemaker", "ListModels", {"MaxResults": 5.0})
    validate(made_up({"Score": {"type": "double"}}, Score="Score"), {"Score": "NaN"})


# Patterns


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        (r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*", "clé/ключ 鍵", True),
        (r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*", "a*", False),
        (r"arn:[\p{Alnum}\-]+", "arn:aws-cn", True),
        (r"arn:[\p{Alnum}\-]+", "arn:é", False),
        (r"\A\S[\p{Print}]*\z", "Grok 1", True),
        (r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\t]*", "a é 😀\t", True),
        (r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\t]*", "a\n", False),
        (r"\w+", "é", False),
        (r"[\w-]+", "a_b-1", True),
        (r"\d{12}", "\u0661" * 12, False),
        (r"[^\s]+", "a\u00a0b", True),
        (r".*", "a\nb", False),
        (r".*", "a\u2028b", False),
        (r"^[a-z.]+$", "a.b\n", False),
        (r"[]a]+", "]a", True),
        (r"[^]a]+", "]", False),
        (r"([\p{L}]*)${1,128}", "abc", True),
    ],
)
def test_patterns_mean_what_they_mean_in_java(pattern, text, matches):
    assert matcher(pattern)(text) is matches


def test_a_pattern_that_backtracks_without_end_gives_up():
    assert matcher(r"(a|aa)+b")("a" * 200) is False


@pytest.mark.parametrize("service", ["sagemaker", "sagemaker-runtime", "glue", "athena"])
def test_every_operation_of_a_service_compiles(service):
    for operation in model_of(service).operation_names:
        try:
            check(service, operation, {})
        except ValidationException as error:
            assert "Member must not be null" in error.message
