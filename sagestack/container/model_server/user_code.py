"""The user's module: where it comes from, and what it requires.

requirements.txt is installed by pip into an environment of this server's own that lies
over the image's, so that the image is shared and never changed.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
from pathlib import Path
from types import ModuleType
from urllib.parse import urlsplit

from .settings import Settings

LOG = logging.getLogger(__name__)


class RequirementsFailed(Exception):
    """pip could not install requirements.txt. Its words are in the log."""


def import_user_module(settings: Settings) -> ModuleType | None:
    """The user's module, or None where none is named and there is no `inference`.

    Raises RequirementsFailed, and what the import raises.
    """
    directory = code_directory(settings)
    if directory.is_dir():
        sys.path.insert(0, str(directory))
        if (directory / "requirements.txt").is_file():
            install(directory / "requirements.txt", settings.base / "packages")
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


def install(requirements: Path, environment: Path) -> None:
    """Install into an environment over this one: what is here counts as installed, another
    version of it is put before it. Raises RequirementsFailed."""
    LOG.info("installing packages from requirements.txt...")
    venv.EnvBuilder(symlinks=True).create(environment)
    variables = {"base": str(environment), "platbase": str(environment)}
    packages = Path(sysconfig.get_path("purelib", "venv", variables))
    beneath = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (packages / "image.pth").write_text("\n".join(beneath) + "\n")
    command = [str(environment / "bin" / "python"), *_pip(), "install"]
    command += ["--disable-pip-version-check", "--no-input", "-r", requirements.name]
    done = subprocess.run(command, cwd=requirements.parent, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        raise RequirementsFailed(f"failed to install required packages (pip: {done.returncode})")
    sys.path.insert(1, str(packages))
    importlib.invalidate_caches()


def _pip() -> list[str]:
    """The image's pip, or the one that comes with Python, run from its wheel."""
    if importlib.util.find_spec("pip"):
        return ["-m", "pip"]
    bundled = Path(sysconfig.get_path("stdlib")) / "ensurepip" / "_bundled"
    wheels = sorted(bundled.glob("pip-*.whl"))
    if not wheels:
        raise RequirementsFailed("this image has no pip to install requirements.txt with")
    return [str(wheels[-1] / "pip")]


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
