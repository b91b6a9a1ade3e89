"""Every service: importing this binds all operations."""

from __future__ import annotations

from sagestack.context import Instance
from sagestack.sagemaker import processing_job, tags, training_job

__all__ = ["recover", "tags"]


def recover(instance: Instance) -> None:
    """After a start on kept records: end what was running, serve what was served."""
    training_job.recover(instance)
    processing_job.recover(instance)
