"""The training job a script runs in."""

from __future__ import annotations

from sagemaker_containers.beta.framework.env import (  # type: ignore[import-not-found]
    TrainingEnv as Environment,
)

__all__ = ["Environment"]
