"""A model's files: brought from S3 once per deployment, laid out for every server.

<kept>/model.tar.gz      the archive of a model, or
<kept>/model/            its files, where they are not in an archive
<kept>/sourcedir.tar.gz  the code that SAGEMAKER_SUBMIT_DIRECTORY names in S3
<kept>/complete          written last

They are kept as long as the endpoint serves them: LocalStack's S3 forgets across restarts,
and an endpoint that comes back serves what it served.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sagestack.engine.archive import BadArchive, unpack
from sagestack.engine.channels import InputMissing, download_prefix
from sagestack.engine.host import AwsSession, NoSuchBucket, NoSuchKey
from sagestack.engine.s3_uri import parse_s3_uri

LOG = logging.getLogger(__name__)
SUBMIT_DIRECTORY = "SAGEMAKER_SUBMIT_DIRECTORY"
SUBMIT_ARCHIVE = "sourcedir.tar.gz"


class ArtifactMissing(Exception):
    """The text is the FailureReason. Source: AWS's own, as users have quoted them."""


def is_archive(container: Mapping[str, Any]) -> bool:
    source = container.get("ModelDataSource", {}).get("S3DataSource")
    return source is None or source["CompressionType"] == "Gzip"


def model_uri(container: Mapping[str, Any]) -> str | None:
    """Where a ContainerDefinition says the model lies; it may have none."""
    source = container.get("ModelDataSource", {}).get("S3DataSource")
    uri: str | None = source["S3Uri"] if source else container.get("ModelDataUrl")
    return uri


def fetch(aws: AwsSession, container: Mapping[str, Any], kept: Path) -> None:
    """Bring what a ContainerDefinition names, if it is not kept yet. Raises ArtifactMissing."""
    if (kept / "complete").exists():
        return
    kept.mkdir(parents=True, exist_ok=True)
    if uri := model_uri(container):
        _fetch_model(aws, container, uri, kept)
    submit = container.get("Environment", {}).get(SUBMIT_DIRECTORY, "")
    if submit.startswith("s3://"):
        try:
            aws.download(*parse_s3_uri(submit), kept / SUBMIT_ARCHIVE)
        except (ValueError, NoSuchBucket, NoSuchKey):
            # The server asks S3 itself then, and its log tells how that went.
            (kept / SUBMIT_ARCHIVE).unlink(missing_ok=True)
    (kept / "complete").touch()


def lay_out(kept: Path, uri: str | None, directory: Path) -> None:
    """Fill the directory that becomes a server's /opt/ml. Raises ArtifactMissing."""
    model = directory / "model"
    shutil.rmtree(directory, ignore_errors=True)
    model.mkdir(parents=True)
    if (kept / "model.tar.gz").exists():
        try:
            unpack(kept / "model.tar.gz", model)
        except BadArchive as error:
            raise ArtifactMissing(
                f'Failed to extract model data archive for container "container_1" from URL "{uri}"'
                ". Please ensure that the object located at the URL is a valid tar.gz archive. "
                f"({error})"
            ) from error
    elif (kept / "model").exists():
        shutil.copytree(kept / "model", model, dirs_exist_ok=True)
    if (kept / SUBMIT_ARCHIVE).exists():
        shutil.copyfile(kept / SUBMIT_ARCHIVE, directory / SUBMIT_ARCHIVE)


def submit_variables(kept: Path) -> dict[str, str]:
    """Tells the model server that the code is here already."""
    if not (kept / SUBMIT_ARCHIVE).exists():
        return {}
    return {"MODEL_SERVER_SUBMIT_ARCHIVE": f"/opt/ml/{SUBMIT_ARCHIVE}"}


def _fetch_model(aws: AwsSession, container: Mapping[str, Any], uri: str, kept: Path) -> None:
    bucket, key = parse_s3_uri(uri)
    try:
        if is_archive(container):
            aws.download(bucket, key, kept / "model.tar.gz")
        elif container["ModelDataSource"]["S3DataSource"]["S3DataType"] == "S3Object":
            (kept / "model").mkdir(exist_ok=True)
            aws.download(bucket, key, kept / "model" / key.rsplit("/", 1)[-1])
        else:
            download_prefix(aws, uri, kept / "model")
    except (NoSuchBucket, NoSuchKey, InputMissing) as error:
        LOG.info("%s: %s", uri, error)
        raise ArtifactMissing(
            f'Failed to download model data for container "container_1" from URL "{uri}". Please '
            "ensure that there is an object located at the URL and that the role passed to "
            "CreateModel has permissions to download the object."
        ) from error
