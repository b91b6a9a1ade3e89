"""Serving: one model behind one endpoint.

Owns the model, the endpoint configuration, the endpoint and the model's role. The model's artifact
is a stack parameter: deploying another model is deploying this stack with another URI. Model and
configuration get new names from CloudFormation then, the endpoint keeps its own.
"""

from __future__ import annotations

from typing import Any

from aws_cdk import Aws, CfnOutput, CfnParameter, Stack
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from infra.constructs.job_role import JobRole
from infra.constructs.lake import Lake
from infra.settings import PREFIXES, SKLEARN_ACCOUNTS, Settings

VARIANT = "AllTraffic"


class ServingStack(Stack):
    """Model artifact → answers over HTTPS, and what was asked → captured."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        key: kms.IKey | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, id_, description="sagestack: serving", **kwargs)
        self._settings = settings
        self._lake = Lake(self, settings)

        model_data = CfnParameter(
            self,
            "ModelDataUrl",
            description="s3:// URI of the model.tar.gz to serve",
            allowed_pattern=r"s3://.+\.tar\.gz",
            constraint_description="must be the s3:// URI of a .tar.gz",
        )
        model = self._model(self._role(key), model_data.value_as_string)
        configuration = self._configuration(model, key)
        endpoint = sagemaker.CfnEndpoint(
            self,
            "Endpoint",
            endpoint_name=settings.endpoint,
            endpoint_config_name=configuration.attr_endpoint_config_name,
        )

        CfnOutput(self, "EndpointName", value=endpoint.attr_endpoint_name)
        CfnOutput(self, "ModelName", value=model.attr_model_name)
        CfnOutput(self, "EndpointConfigName", value=configuration.attr_endpoint_config_name)
        CfnOutput(self, "ServedModelDataUrl", value=model_data.value_as_string)

    def _role(self, key: kms.IKey | None) -> JobRole:
        role = JobRole(
            self,
            "ModelRole",
            service="sagemaker",
            description="Serves the delay model",
            settings=self._settings,
        )
        role.read("model", PREFIXES.models)
        role.use_key(key, volumes=True)
        role.pull_image(SKLEARN_ACCOUNTS[self._settings.region], "sagemaker-scikit-learn")
        role.write_logs("/aws/sagemaker/Endpoints/*")
        role.put_metrics("AWS/SageMaker")
        if self._settings.capture_percent:
            role.write("model", PREFIXES.captured)
        return role

    def _model(self, role: JobRole, model_data: str) -> sagemaker.CfnModel:
        model = sagemaker.CfnModel(
            self,
            "Model",
            execution_role_arn=role.role_arn,
            primary_container=sagemaker.CfnModel.ContainerDefinitionProperty(
                image=self._settings.sklearn_image,
                model_data_url=model_data,
                environment={
                    # The artifact carries its own code: no second download, no version to mix up.
                    "SAGEMAKER_PROGRAM": "inference.py",
                    "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
                    "SAGEMAKER_CONTAINER_LOG_LEVEL": "20",
                    "SAGEMAKER_REGION": Aws.REGION,
                },
            ),
        )
        # SageMaker tries the role's permissions when the model is made.
        model.node.add_dependency(role)
        return model

    def _configuration(
        self, model: sagemaker.CfnModel, key: kms.IKey | None
    ) -> sagemaker.CfnEndpointConfig:
        return sagemaker.CfnEndpointConfig(
            self,
            "Configuration",
            kms_key_id=key.key_arn if key else None,
            production_variants=[
                sagemaker.CfnEndpointConfig.ProductionVariantProperty(
                    variant_name=VARIANT,
                    model_name=model.attr_model_name,
                    instance_type=self._settings.endpoint_instance,
                    initial_instance_count=self._settings.endpoint_instances,
                    initial_variant_weight=1,
                )
            ],
            data_capture_config=self._capture(key),
        )

    def _capture(
        self, key: kms.IKey | None
    ) -> sagemaker.CfnEndpointConfig.DataCaptureConfigProperty | None:
        if not self._settings.capture_percent:
            return None
        config = sagemaker.CfnEndpointConfig
        return config.DataCaptureConfigProperty(
            enable_capture=True,
            initial_sampling_percentage=self._settings.capture_percent,
            destination_s3_uri=self._lake.uri("model", PREFIXES.captured),
            kms_key_id=key.key_arn if key else None,
            capture_options=[
                config.CaptureOptionProperty(capture_mode="Input"),
                config.CaptureOptionProperty(capture_mode="Output"),
            ],
            capture_content_type_header=config.CaptureContentTypeHeaderProperty(
                csv_content_types=["text/csv"], json_content_types=["application/json"]
            ),
        )
