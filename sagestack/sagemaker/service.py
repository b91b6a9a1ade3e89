"""The SageMaker services that operations are bound to."""

from __future__ import annotations

from sagestack.aws.registry import Service

sagemaker = Service("sagemaker")
runtime = Service("sagemaker-runtime")
