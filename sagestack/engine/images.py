"""Images: locked Python environments that stand for container images.

An image URI is matched by its repository name, never by account or tag: the account
differs by region, and one locked environment serves every tag of a repository. An
environment is built by uv on first use, as Docker would pull, and shared by every
instance with the same lock.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sagestack.engine.warm import WarmWorker, WarmWorkers

LOG = logging.getLogger(__name__)
IMAGES = Path(__file__).parent.parent / "images"
TOOLKITS = Path(__file__).parent.parent / "container" / "toolkits"


@dataclass(frozen=True)
class Image:
    """What an image is made of.

    `source` is a lock file with hashes, a requirements file, or an interpreter. `folder`,
    where there is one, holds the image's own programs.
    """

    name: str
    repositories: tuple[str, ...]
    source: Path
    preload: tuple[str, ...] = ()
    """Modules an idle process imports ahead, for jobs to be forked from; none, no process."""
    train: str = "train.py"
    serve: str = "serve.py"
    """The programs of sagestack/container/ that stand for the image's own."""
    algorithm: str | None = None
    """What it trains when no program of the user's is named."""
    folder: Path | None = None
    modules: Path | None = None
    """A directory of modules that programs find after their own."""


@dataclass(frozen=True)
class Environment:
    """An image that is there to run programs in."""

    image: Image
    python: Path
    worker: WarmWorker | None = None

    @property
    def bin(self) -> Path:
        return self.python.parent


BUILT_IN = (
    Image(
        "sklearn",
        ("sagemaker-scikit-learn",),
        IMAGES / "sklearn" / "requirements.lock",
        preload=(
            *("numpy", "pandas", "joblib", "pyarrow.parquet", "boto3", "threadpoolctl"),
            *("sklearn.compose", "sklearn.ensemble", "sklearn.impute", "sklearn.linear_model"),
            *("sklearn.metrics", "sklearn.model_selection", "sklearn.pipeline"),
            "sklearn.preprocessing",
        ),
        modules=TOOLKITS,
    ),
    Image(
        "xgboost",
        ("sagemaker-xgboost", "xgboost"),
        IMAGES / "xgboost" / "requirements.lock",
        preload=(
            *("numpy", "pandas", "scipy.sparse", "xgboost", "joblib", "pyarrow.parquet", "boto3"),
            *("sklearn.datasets", "sklearn.metrics", "sklearn.model_selection", "threadpoolctl"),
        ),
        train="xgboost_train.py",
        serve="xgboost_serve.py",
        algorithm="xgboost",
        modules=TOOLKITS,
    ),
    Image(
        "glue-shell",
        ("glue-shell",),
        IMAGES / "glue-shell" / "requirements.lock",
        preload=("awswrangler", "pandas", "pyarrow.parquet", "boto3"),
    ),
    # No job asks for it: hyperparameter tuning searches in it.
    Image("tuner", (), IMAGES / "tuner" / "requirements.lock"),
)


class UnknownImage(Exception):
    """No image has this repository name."""


class ImageBuildError(Exception):
    """The environment could not be built. The text is uv's."""


class Images:
    """The images an instance knows. `directory` holds the built environments."""

    def __init__(self, directory: Path, added: Iterable[Image] = (), *, warm: bool = False) -> None:
        """`warm` keeps an idle process per image that jobs are forked from."""
        self._directory = directory
        self._images = (*added, *BUILT_IN)
        self._workers = WarmWorkers() if warm else None

    def __iter__(self) -> Iterator[Image]:
        return iter(self._images)

    def find(self, uri: str) -> Image:
        """The image for a URI such as `<registry>/<repository>:<tag>`.

        Raises UnknownImage, whose text says what is known and how to add one.
        """
        repository = repository_of(uri)
        for image in self._images:
            if repository in image.repositories:
                return image
        known = ", ".join(sorted(r for image in self._images for r in image.repositories))
        raise UnknownImage(
            f"sagestack has no image for repository '{repository}'. It knows: {known}. "
            f"Add one with SAGESTACK_IMAGES={repository}="
            "<folder, requirements file or interpreter>"
        )

    def built(self, image: Image) -> bool:
        return _is_interpreter(image.source) or (self._path(image) / ".complete").exists()

    def environment(self, image: Image) -> Environment:
        """Build the image's environment if it is not there yet. Raises ImageBuildError."""
        if _is_interpreter(image.source):
            python = image.source
        else:
            path = self._path(image)
            if not (path / ".complete").exists():
                self._build(image, path)
            python = path / "bin" / "python"
        worker = self._workers.worker(python, image.preload) if self._workers else None
        return Environment(image, python, worker)

    def close(self) -> None:
        """End the idle processes."""
        if self._workers:
            self._workers.close()

    def _path(self, image: Image) -> Path:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        digest = hashlib.sha256(image.source.read_bytes() + version.encode()).hexdigest()
        return self._directory / f"{image.name}-{digest[:12]}"

    def _build(self, image: Image, path: Path) -> None:
        with _locked(path.with_suffix(".lock")):
            if (path / ".complete").exists():
                return
            LOG.info("building image %s in %s", image.name, path)
            shutil.rmtree(path, ignore_errors=True)
            # The interpreter behind this one, not this environment's own link to it.
            base = str(Path(sys.base_prefix) / "bin" / f"python3.{sys.version_info.minor}")
            _uv("venv", "--quiet", "--python", base, str(path))
            hashes = ["--require-hashes"] if image.source.suffix == ".lock" else []
            install = ["pip", "install", "--quiet", "--compile-bytecode", *hashes]
            _uv(*install, "--python", str(path / "bin" / "python"), "-r", str(image.source))
            (path / ".complete").touch()


def repository_of(uri: str) -> str:
    """`123.dkr.ecr.eu-west-1.amazonaws.com/sagemaker-xgboost:1.7-1` -> `sagemaker-xgboost`."""
    path = uri.split("@", 1)[0].rsplit("/", 1)
    return path[-1].split(":", 1)[0]


def added_images(setting: str) -> list[Image]:
    """Parse `SAGESTACK_IMAGES`: `repository=path`, separated by commas.

    Raises ValueError, saying what is wrong.
    """
    images = []
    for entry in filter(None, (part.strip() for part in setting.split(","))):
        repository, separator, path = entry.partition("=")
        source = Path(path).expanduser().resolve()
        if not separator or not repository:
            raise ValueError(f"SAGESTACK_IMAGES: {entry!r} is not of the form repository=path")
        if source.is_dir():
            images.append(_folder_image(repository, source))
            continue
        if not source.is_file():
            raise ValueError(f"SAGESTACK_IMAGES: {repository}: there is no file or folder {source}")
        # An interpreter in a virtual environment is a link that must not be followed.
        named = Path(path).expanduser().absolute()
        images.append(
            Image(repository, (repository,), named if _is_interpreter(source) else source)
        )
    return images


def setting_of(images: Iterable[Image]) -> str:
    """`SAGESTACK_IMAGES` for these, with absolute paths: a server works elsewhere."""
    return ",".join(f"{image.name}={image.folder or image.source}" for image in images)


def _folder_image(repository: str, folder: Path) -> Image:
    """Raises ValueError for a folder that does not say what it requires."""
    for name in ("requirements.lock", "requirements.txt"):
        if (folder / name).is_file():
            return Image(repository, (repository,), folder / name, folder=folder)
    raise ValueError(
        f"SAGESTACK_IMAGES: {repository}: {folder} has no requirements.txt and no "
        "requirements.lock; an empty one will do"
    )


def _is_interpreter(path: Path) -> bool:
    return os.access(path, os.X_OK) and "python" in path.name


def _uv(*arguments: str) -> None:
    from uv import find_uv_bin

    environment = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "PYTHONPATH")}
    done = subprocess.run(
        [find_uv_bin(), *arguments], capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode != 0:
        raise ImageBuildError(done.stderr.strip())


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One builder at a time, across processes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
