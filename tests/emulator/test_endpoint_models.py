"""Models and endpoint configurations: what is kept, what is refused, in which words."""

from __future__ import annotations

from typing import Any

import pytest

from sagestack.context import Context
from tests.emulator.endpoints import Endpoints, constant, refused
from tests.emulator.jobs import ACCOUNT, BUCKET, IMAGE, REGION, ROLE

ARN = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}"


@pytest.fixture
def endpoints(context: Context) -> Endpoints:
    return Endpoints(context)


def test_a_model_is_described_as_it_was_made(endpoints: Endpoints) -> None:
    url = endpoints.put_archive(constant(1))
    container = {"Image": IMAGE, "ModelDataUrl": url, "Environment": {"A": "1"}}
    vpc = {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}
    made = endpoints.call(
        "CreateModel",
        ModelName="My-Model",
        ExecutionRoleArn=ROLE,
        PrimaryContainer=container,
        VpcConfig=vpc,
        Tags=[{"Key": "team", "Value": "ml"}],
    )
    assert made == {"ModelArn": f"{ARN}:model/my-model"}
    model = endpoints.call("DescribeModel", ModelName="My-Model")
    assert model.pop("CreationTime")
    assert model == {
        "ModelName": "My-Model",
        "ModelArn": f"{ARN}:model/my-model",
        "ExecutionRoleArn": ROLE,
        "PrimaryContainer": {"Mode": "SingleModel", **container},
        "VpcConfig": vpc,
        "EnableNetworkIsolation": False,
    }
    tags = endpoints.call("ListTags", ResourceArn=made["ModelArn"])["Tags"]
    assert tags == [{"Key": "team", "Value": "ml"}]


def test_one_container_may_be_given_as_a_list(endpoints: Endpoints) -> None:
    container = {"Image": IMAGE, "ModelDataUrl": endpoints.put_archive(constant(1))}
    request = {"ModelName": "m", "ExecutionRoleArn": ROLE, "Containers": [container]}
    endpoints.call("CreateModel", **request)
    model = endpoints.call("DescribeModel", ModelName="m")
    assert model["Containers"] == [{"Mode": "SingleModel", **container}]


@pytest.mark.parametrize(
    "host",
    [
        f"{BUCKET}.s3.us-east-1.amazonaws.com",
        f"s3.amazonaws.com/{BUCKET}",
        f"s3.us-east-1.localhost.localstack.cloud/{BUCKET}",
        f"s3-us-west-2.amazonaws.com/{BUCKET}",
    ],
)
def test_a_models_data_may_be_named_by_a_url_of_s3(endpoints: Endpoints, host: str) -> None:
    """As Terraform's and the CDK's users write it, by the bucket's or the asset's URL."""
    key = endpoints.put_archive(constant(1)).removeprefix(f"s3://{BUCKET}/")
    container = {"Image": IMAGE, "ModelDataUrl": f"https://{host}/{key}"}
    request = {"ModelName": "m", "ExecutionRoleArn": ROLE, "PrimaryContainer": container}
    endpoints.call("CreateModel", **request)
    model = endpoints.call("DescribeModel", ModelName="m")
    assert model["PrimaryContainer"] == {"Mode": "SingleModel", **container}


def test_a_models_name_is_taken_in_any_case(endpoints: Endpoints) -> None:
    name = endpoints.model(constant(1))
    error = refused(endpoints.model, constant(1), ModelName=name.upper())
    assert (error.code, error.message) == (
        "ValidationException",
        f'Cannot create already existing model "{ARN}:model/{name}".',
    )


@pytest.mark.parametrize("operation", ["DescribeModel", "DeleteModel"])
def test_a_missing_model(endpoints: Endpoints, operation: str) -> None:
    error = refused(endpoints.call, operation, ModelName="none")
    assert error.message == f'Could not find model "{ARN}:model/none".'


def test_a_deleted_model_is_gone_and_its_name_is_free(endpoints: Endpoints) -> None:
    name = endpoints.model(constant(1))
    endpoints.call("DeleteModel", ModelName=name)
    assert (
        "Could not find model" in refused(endpoints.call, "DescribeModel", ModelName=name).message
    )
    endpoints.model(constant(1), ModelName=name)


def test_an_unknown_image_is_refused_with_what_is_known(endpoints: Endpoints) -> None:
    image = "1.dkr.ecr.us-east-1.amazonaws.com/strange:1"
    message = refused(endpoints.model, constant(1), container={"Image": image}).message
    assert message.startswith(f"Requested image {image} not found.")
    assert "sagemaker-scikit-learn" in message and "SAGESTACK_IMAGES=strange=" in message


@pytest.mark.parametrize(
    "url", [f"s3://{BUCKET}/none/model.tar.gz", "s3://no-such-bucket/model.tar.gz"]
)
def test_a_models_files_must_be_there(endpoints: Endpoints, url: str) -> None:
    message = refused(endpoints.model, container={"ModelDataUrl": url}).message
    assert message == f"Could not find model data at {url}."


@pytest.mark.parametrize(
    ("container", "words"),
    [
        ({"Mode": "MultiModel"}, "multi-model endpoints"),
        ({"ModelPackageName": "package"}, "ModelPackageName"),
        ({"MultiModelConfig": {"ModelCacheSetting": "Enabled"}}, "MultiModelConfig"),
        ({"ImageConfig": {"RepositoryAccessMode": "Vpc"}}, "private registries"),
    ],
)
def test_what_is_not_emulated_is_refused_by_name(
    endpoints: Endpoints, container: dict[str, Any], words: str
) -> None:
    error = refused(endpoints.model, constant(1), container=container)
    assert error.code == "ValidationException"
    assert words in error.message


def test_inference_pipelines_are_refused(endpoints: Endpoints) -> None:
    containers = [{"Image": IMAGE}, {"Image": IMAGE}]
    error = refused(endpoints.call, "CreateModel", ModelName="m", Containers=containers)
    assert "inference pipelines" in error.message


def test_models_are_listed_newest_first_in_pages(endpoints: Endpoints) -> None:
    names = [endpoints.model(constant(1)) for _ in range(3)]
    first = endpoints.call("ListModels", MaxResults=2)
    rest = endpoints.call("ListModels", MaxResults=2, NextToken=first["NextToken"])
    listed = [model["ModelName"] for model in first["Models"] + rest["Models"]]
    assert listed == names[::-1]
    assert "NextToken" not in rest
    only = endpoints.call("ListModels", NameContains=names[1])["Models"]
    assert [model["ModelName"] for model in only] == [names[1]]


def test_a_configuration_is_described_as_it_was_made(endpoints: Endpoints) -> None:
    variant = endpoints.variant(constant(1))
    name = endpoints.config(variant, KmsKeyId="key")
    config = endpoints.call("DescribeEndpointConfig", EndpointConfigName=name)
    assert config.pop("CreationTime")
    assert config == {
        "EndpointConfigName": name,
        "EndpointConfigArn": f"{ARN}:endpoint-config/{name}",
        "ProductionVariants": [{"InitialVariantWeight": 1.0, **variant}],
        "KmsKeyId": "key",
        "EnableNetworkIsolation": False,
    }
    listed = endpoints.call("ListEndpointConfigs")["EndpointConfigs"]
    assert [c["EndpointConfigName"] for c in listed] == [name]


def test_a_configurations_models_must_exist(endpoints: Endpoints) -> None:
    error = refused(endpoints.config, endpoints.variant("none"))
    assert error.message == f'Could not find model "{ARN}:model/none".'


def test_a_configurations_name_is_taken(endpoints: Endpoints) -> None:
    variant = endpoints.variant(constant(1))
    name = endpoints.config(variant)
    error = refused(endpoints.config, variant, EndpointConfigName=name)
    assert error.message == (
        f'Cannot create already existing endpoint configuration "{ARN}:endpoint-config/{name}".'
    )


@pytest.mark.parametrize("operation", ["DescribeEndpointConfig", "DeleteEndpointConfig"])
def test_a_missing_configuration(endpoints: Endpoints, operation: str) -> None:
    error = refused(endpoints.call, operation, EndpointConfigName="none")
    expected = f'Could not find endpoint configuration "{ARN}:endpoint-config/none".'
    assert error.message == expected


def test_variants_have_names_of_their_own(endpoints: Endpoints) -> None:
    variant = endpoints.variant(constant(1))
    assert "must be unique" in refused(endpoints.config, variant, variant).message


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"InstanceType": None}, "must specify InstanceType and InitialInstanceCount"),
        ({"ModelName": None}, "inference components"),
        ({"AcceleratorType": "ml.eia1.medium"}, "AcceleratorType"),
        ({"ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 1}}, "must not specify"),
        (
            {
                "InstanceType": None,
                "InitialInstanceCount": None,
                "ServerlessConfig": {"MemorySizeInMB": 1500, "MaxConcurrency": 1},
            },
            "Invalid MemorySizeInMB 1500",
        ),
        ({"RoutingConfig": {"RoutingStrategy": "KV_AWARE"}}, "KV_AWARE"),
    ],
)
def test_a_variant_that_can_not_be_served(
    endpoints: Endpoints, members: dict[str, Any], words: str
) -> None:
    variant = endpoints.variant(endpoints.model(constant(1)), **members)
    assert words in refused(endpoints.config, variant).message


@pytest.mark.parametrize(
    "members",
    [
        {"AsyncInferenceConfig": {"OutputConfig": {"S3OutputPath": "s3://lake/out"}}},
        {"EnableNetworkIsolation": True},
        {"ExecutionRoleArn": ROLE},
        {"ExplainerConfig": {"ClarifyExplainerConfig": {"ShapConfig": {"ShapBaselineConfig": {}}}}},
    ],
)
def test_what_a_configuration_may_not_ask_for(
    endpoints: Endpoints, members: dict[str, Any]
) -> None:
    variant = endpoints.variant(endpoints.model(constant(1)))
    assert next(iter(members)) in refused(endpoints.config, variant, **members).message
