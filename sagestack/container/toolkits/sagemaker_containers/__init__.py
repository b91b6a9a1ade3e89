"""The toolkit of AWS's framework images, as far as scripts use it.

Source: aws/sagemaker-containers, README.md.
"""

from __future__ import annotations

from .beta.framework import env


def training_env() -> env.TrainingEnv:
    """What is known of the training job this runs in."""
    return env.TrainingEnv()
