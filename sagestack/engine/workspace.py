"""Workspace: the directory of one job, taken away when the job has ended.

<parent>/<name>-<digest>/algo-1/ml      /opt/ml of the job's first host
                                ml.tmp  its /tmp; init.py makes its siblings
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Workspace:
    directory: Path

    @classmethod
    def create(cls, parent: Path, arn: str) -> Workspace:
        """An empty directory for the job with this ARN. The digest keeps jobs of one name in
        different accounts and regions apart."""
        name = arn.rsplit("/", 1)[-1].rsplit(":", 1)[-1][:64]
        digest = hashlib.sha256(arn.encode()).hexdigest()[:12]
        directory = parent / f"{name}-{digest}"
        remove(directory)
        parent.mkdir(parents=True, exist_ok=True)
        directory.mkdir(mode=0o700)
        return cls(directory)

    def host(self, name: str) -> Path:
        """The directory that becomes /opt/ml of a host such as algo-1."""
        path = self.directory / name / "ml"
        path.mkdir(parents=True, exist_ok=True)
        return path

    def remove(self) -> None:
        remove(self.directory)


def remove(directory: Path) -> None:
    """Take a directory away with what a program has left in it."""
    regain(directory)
    shutil.rmtree(directory, ignore_errors=True)


def regain(directory: Path) -> None:
    """Read and remove what a program, now ended, has closed to its owner: that is us, unless
    we are root, who needs no right."""
    if os.getuid() == 0:
        return
    for folder, folders, files in os.walk(directory):
        for names, rights in ((folders, stat.S_IRWXU), (files, stat.S_IRUSR)):
            for path in (os.path.join(folder, name) for name in names):
                mode = os.lstat(path).st_mode
                if not stat.S_ISLNK(mode) and mode & rights != rights:
                    os.chmod(path, stat.S_IMODE(mode) | rights)


class LeadsOut(Exception):
    """A program put a link where the platform expects a directory or a file of its own."""


def left_at(directory: Path, container_path: str) -> Path:
    """`inside`, for what a program has left. Raises LeadsOut where a link is in the way: it
    would be followed out here, with our rights."""
    path = inside(directory, container_path)
    for part in (path, *path.parents):
        if part == directory:
            return path
        if part.is_symlink():
            raise LeadsOut(f"{container_path} is a link or lies behind one")
    raise ValueError(f"{container_path} leaves /opt/ml")


@contextlib.contextmanager
def held(directory: Path, relative: Path) -> Iterator[Path]:
    """A path to what lies below a directory, that leads there whatever a running program puts
    in its place meanwhile. Raises FileNotFoundError, and LeadsOut where a link is in the way."""
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY)
    try:
        for part in relative.parts:
            below = os.open(part, os.O_PATH | os.O_NOFOLLOW, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
            if stat.S_ISLNK(os.fstat(descriptor).st_mode):
                raise LeadsOut(f"{relative} is a link or lies behind one")
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def inside(directory: Path, container_path: str) -> Path:
    """Where a path below /opt/ml lies outside. Raises ValueError for one that leaves it."""
    if container_path != "/opt/ml" and not container_path.startswith("/opt/ml/"):
        raise ValueError(f"{container_path} is not below /opt/ml")
    path = directory.joinpath(*container_path.split("/")[3:])
    if ".." in path.parts:
        raise ValueError(f"{container_path} leaves /opt/ml")
    return path
