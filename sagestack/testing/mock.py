"""MockSageMaker: an instance for the length of a block, a function or a class of tests.

Its records, its jobs and its files are gone afterwards. What is kept, as long as the process
lives, are the warm workers: their imports are most of a short job's time.
"""

from __future__ import annotations

import functools
import inspect
import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, cast, overload
from unittest import TestCase
from unittest.mock import patch

from moto import mock_aws

import sagestack.services  # noqa: F401  binds the operations
from sagestack.aws.store import Store
from sagestack.boto_host import BotoHost
from sagestack.context import Instance
from sagestack.engine import namespaces
from sagestack.engine.executor import Executor
from sagestack.engine.images import BUILT_IN, Image, Images, added_images
from sagestack.paths import environments_directory
from sagestack.testing.host import MotoSession
from sagestack.testing.interception import intercept

LOG = logging.getLogger(__name__)
STOP_SECONDS = 5.0
"""Between SIGTERM and SIGKILL of a job. AWS gives it 120 s; a test shall not wait for them."""
HOST = BotoHost(None, MotoSession)
"""One for all mocks: its clients take long to make, and moto keeps what they made."""


class _Emulator:
    """The instance that all mocks open at one time share. The first to open makes it, the
    last to close ends it."""

    def __init__(self) -> None:
        self.instance: Instance | None = None
        self._images: Images | None = None
        self._users = 0
        self._stack = ExitStack()
        self._lock = threading.Lock()

    def open(self, images: tuple[Image, ...]) -> None:
        with self._lock:
            if self._users and images:
                raise ValueError(
                    "mock_sagemaker: images can be given to the outermost mock alone, "
                    "those within it share its instance"
                )
            if not self._users:
                self._stack.enter_context(_no_endpoints())
                self._stack.enter_context(mock_aws())
                self._images = _images(images)
                self._begin()
            self._users += 1

    def close(self) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                self._end()
                self._stack.close()

    def reset(self) -> None:
        with self._lock:
            self._end()
            self._begin()

    def _begin(self) -> None:
        assert self._images is not None
        directory = Path(tempfile.mkdtemp(prefix="sagestack-"))
        self.instance = Instance(
            directory=directory,
            store=Store(directory / "records.sqlite"),
            host=HOST,
            images=self._images,
            executor=Executor(max(2, os.cpu_count() or 2)),
            stop_seconds=STOP_SECONDS,
        )

    def _end(self) -> None:
        """Before moto leaves: what still ran would ask the real AWS."""
        instance, self.instance = self.instance, None
        if instance is None:
            return
        executors = (instance.coordinators, instance.executor)
        for executor in executors:
            executor.close(0)  # all are told, before any is waited for
        if not all([executor.close(2 * STOP_SECONDS) for executor in executors]):
            LOG.error("mock_sagemaker: jobs outlived the test")
        instance.events.close(STOP_SECONDS)
        instance.servers.close()
        instance.store.close()
        shutil.rmtree(instance.directory, ignore_errors=True)


_emulator = _Emulator()
intercept(lambda: _emulator.instance)


class MockSageMaker:
    """What `mock_sagemaker` makes. Entering one within another joins its instance."""

    def __init__(self, images: Mapping[str, str | Path] | None = None) -> None:
        self._images = images or {}

    def __enter__(self) -> Self:
        _emulator.open(_added(self._images))
        return self

    def __exit__(self, *_: object) -> None:
        _emulator.close()

    def reset(self) -> None:
        """End what runs and forget every record, for all who share the instance."""
        _emulator.reset()

    def __call__[T: Callable[..., Any]](self, target: T) -> T:
        """Decorate a function, or a class: each of its tests gets an instance of its own."""
        if not inspect.isclass(target):
            return cast(T, self._wrap(target))
        # A TestCase's `run` holds setUp, the test and tearDown.
        names = ["run"] if issubclass(target, TestCase) else _tests_of(target)
        for name in names:
            setattr(target, name, self._wrap(getattr(target, name)))
        return cast(T, target)

    def _wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*arguments: Any, **keywords: Any) -> Any:
            with self:
                return function(*arguments, **keywords)

        @functools.wraps(function)
        async def call_async(*arguments: Any, **keywords: Any) -> Any:
            with self:
                return await function(*arguments, **keywords)

        return call_async if inspect.iscoroutinefunction(function) else call


@overload
def mock_sagemaker[T: Callable[..., Any]](target: T) -> T: ...


@overload
def mock_sagemaker(*, images: Mapping[str, str | Path] | None = None) -> MockSageMaker: ...


def mock_sagemaker(
    target: Callable[..., Any] | None = None,
    *,
    images: Mapping[str, str | Path] | None = None,
) -> Any:
    """Answer boto3's calls to SageMaker and Glue in this process; jobs really run.

    A context manager and a decorator, with or without parentheses. Enters moto's `mock_aws`
    where that is not active yet. `images` runs a repository's images in an interpreter, the
    environment of a requirements file, or a folder's programs:
    `{"sagemaker-scikit-learn": sys.executable}`. Clients must be made within it, or after
    sagestack.testing was imported.
    """
    mock = MockSageMaker(images)
    return mock if target is None else mock(target)


def _added(images: Mapping[str, str | Path]) -> tuple[Image, ...]:
    """Raises ValueError. An interpreter or a lock that is given for a repository that is
    known stands for its packages alone: the programs and the warm worker stay the image's."""
    added = added_images(",".join(f"{name}={path}" for name, path in images.items()))
    known = {repository: image for image in BUILT_IN for repository in image.repositories}
    return tuple(
        replace(known[image.name], source=image.source, repositories=image.repositories)
        if image.name in known and image.folder is None
        else image
        for image in added
    )


@functools.cache
def _images(added: tuple[Image, ...]) -> Images:
    """Shared by all mocks with the same images: their warm workers stay."""
    return Images(environments_directory(), added, warm=namespaces.can_be_made())


def _no_endpoints() -> Any:
    """A shell that `sagestack env` has set up must not lead a unit test to its server."""
    kept = {n: v for n, v in os.environ.items() if not n.startswith("AWS_ENDPOINT_URL")}
    return patch.dict(os.environ, kept, clear=True)


def _tests_of(target: type) -> list[str]:
    return [name for name, _ in inspect.getmembers(target, callable) if name.startswith("test")]
