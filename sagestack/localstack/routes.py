"""What the command line asks of an instance beyond AWS's API, below /_sagestack/ on its port.

GET status: what runs. POST interrupt: take the machine away from a training job on spot
capacity, as `{"name": …, "region": …}`.
"""

from __future__ import annotations

from typing import Any

from localstack.constants import DEFAULT_AWS_ACCOUNT_ID as DEFAULT_ACCOUNT
from localstack.services.edge import ROUTER
from rolo import Request, Response

from sagestack import __version__
from sagestack.aws.errors import AwsError
from sagestack.context import Instance
from sagestack.sagemaker.training_job import interrupt_training_job

KINDS = (
    "training-job",
    "processing-job",
    "hyper-parameter-tuning-job",
    "transform-job",
    "endpoint",
    "glue-job-run",
)


def serve_routes(instance: Instance) -> None:
    """Answer on LocalStack's port."""

    def answer(_request: Request, **_arguments: Any) -> Response:
        response = Response()
        response.set_json(
            {
                "version": __version__,
                "directory": str(instance.directory),
                "records": {kind: instance.store.count(kind) for kind in KINDS},
                "running": instance.executor.running_jobs(),
                "images": [
                    {
                        "name": image.name,
                        "repositories": image.repositories,
                        "built": instance.images.built(image),
                    }
                    for image in instance.images
                ],
            }
        )
        return response

    def interrupt(request: Request, **_arguments: Any) -> Response:
        wanted = request.get_json()
        context = instance.context(wanted.get("account", DEFAULT_ACCOUNT), wanted["region"])
        response = Response()
        try:
            interrupt_training_job(wanted["name"], context)
            response.set_json({})
        except AwsError as error:
            response.status_code = error.status
            response.set_json({"message": error.message})
        return response

    ROUTER.add("/_sagestack/status", answer, methods=["GET"])
    ROUTER.add("/_sagestack/interrupt", interrupt, methods=["POST"])
