"""The user's module: where it comes from, and what it requires."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import sys
import tarfile
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

from .packages import install
from .settings import Settings

LOG = logging.getLogger(__name__)


def import_user_module(settings: Settings) -> ModuleType | None:
    """The user's module, or None where none is named and there is no `inference`.

    Raises RequirementsFailed, and what the import raises.
    """
    directory = code_directory(settings)
    if directory.is_dir():
        sys.path.insert(0, str(directory))
        if (directory / "requirements.txt").is_file():
            LOG.info("installing packages from requirements.txt...")
            packages = install(directory / "requirements.txt", settings.base / "packages")
            sys.path.insert(1, str(packages))
            importlib.invalidate_caches()
    if settings.program is None and importlib.util.find_spec(settings.module_name) is None:
        return None
    return importlib.import_module(settings.module_name)


def code_directory(settings: Settings) -> Path:
    submit = settings.submit_directory
    own = settings.base / "code"
    if submit is None:
        packed = settings.model_dir / "code"
        return packed if packed.is_dir() else own
    if submit.startswith("s3://"):
        archive = settings.submit_archive or _download(submit, settings)
        return _unpack(archive, own)
    path = Path(submit)
    return _unpack(path, own) if path.is_file() else path


def _download(uri: str, settings: Settings) -> Path:
    import boto3
    from botocore.config import Config

    parts = urlsplit(uri)
    client = boto3.client(
        "s3",
        region_name=settings.region,
        config=Config(s3={"addressing_style": "path"} if "AWS_ENDPOINT_URL" in os.environ else {}),
    )
    archive = settings.base / "sourcedir.tar.gz"
    client.download_file(parts.netloc, parts.path.lstrip("/"), str(archive))
    return archive


def _unpack(archive: Path, directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive) as tar:
        tar.extractall(directory, filter="data")
    return directory
