"""GET /_sagestack/status: what runs in this instance, for `sagestack status`."""

from __future__ import annotations

from typing import Any

from localstack.services.edge import ROUTER
from rolo import Request, Response

from sagestack import __version__
from sagestack.context import Instance

KINDS = ("training-job", "processing-job", "endpoint", "glue-job-run")
PATH = "/_sagestack/status"


def serve_status(instance: Instance) -> None:
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

    ROUTER.add(PATH, answer, methods=["GET"])
