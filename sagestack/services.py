"""Every service: importing this binds all operations."""

from __future__ import annotations

from sagestack.context import Instance
from sagestack.glue import recover as recover_glue
from sagestack.sagemaker import (
    endpoint,
    invoke_endpoint,
    processing_job,
    tags,
    training_job,
    transform_job,
    tuning_job,
)

__all__ = ["invoke_endpoint", "recover", "tags"]


def recover(instance: Instance) -> None:
    """After a start on kept records: end what was running, serve what was served."""
    training_job.recover(instance)
    tuning_job.recover(instance)
    processing_job.recover(instance)
    transform_job.recover(instance)
    endpoint.recover(instance)
    recover_glue(instance)
