"""A model's container, made ready to be started: by an endpoint or by a transform job."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from sagestack.context import Context
from sagestack.engine.child import INIT
from sagestack.engine.programs import image_program
from sagestack.sagemaker.job_run import role_variables
from sagestack.serving.artifact import fetch, lay_out, model_uri, submit_variables
from sagestack.serving.server import ServerPlan


class IsolationUnsupported(Exception):
    """The image's own server can't be reached without a network."""


def server_plan(
    context: Context,
    container: Mapping[str, Any],
    kept: Path,
    *,
    role_arn: str | None,
    isolated: bool,
    startup_seconds: float,
    variables: Mapping[str, str] | None = None,
) -> ServerPlan:
    """Build the image of a ContainerDefinition and bring the model's files into `kept`.
    `variables` take precedence over the container's own.

    Raises UnknownImage, ImageBuildError, ProgramMissing, ArtifactMissing,
    IsolationUnsupported.
    """
    images = context.instance.images
    environment = images.environment(images.find(container["Image"]))
    fetch(context.aws, container, kept)
    command = image_program(environment, "serve")
    if isolated and Path(command[-1]).parent != INIT.parent:
        raise IsolationUnsupported(
            "sagestack does not support EnableNetworkIsolation with an image that has a serve "
            "program of its own"
        )
    return ServerPlan(
        environment=environment,
        command=command,
        variables={
            **role_variables(context.aws, role_arn or "", isolated=isolated or role_arn is None),
            **container.get("Environment", {}),
            **(variables or {}),
            **submit_variables(kept),
        },
        lay_out=partial(lay_out, kept, model_uri(container)),
        startup_seconds=startup_seconds,
        isolate_network=isolated,
        host_names=(container["ContainerHostname"],) if "ContainerHostname" in container else (),
    )
