"""Checkpoints: a directory that begins with what S3 has. `ContinuousUpload` keeps it there."""

from __future__ import annotations

from pathlib import Path

from sagestack.engine.channels import InputMissing, download_prefix
from sagestack.engine.host import AwsSession


def restore(aws: AwsSession, uri: str, directory: Path) -> None:
    """Bring what earlier runs left; nothing there is a first run. Raises InputMissing where
    the bucket is missing."""
    directory.mkdir(parents=True, exist_ok=True)
    try:
        download_prefix(aws, f"{uri.rstrip('/')}/", directory)
    except InputMissing as error:
        if "No S3 objects" not in str(error):
            raise
