"""The files of a Python shell job run: script, modules and extra files, from S3.

script/   the script
work/     --extra-files; where the script starts
python/   --extra-py-files: modules, and archives that are on PYTHONPATH themselves
wheels/   wheels, of --extra-py-files and --additional-python-modules
modules/  where wheels and --additional-python-modules are installed
glue/     the awsglue package
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sagestack.engine.child import INIT
from sagestack.engine.host import AwsSession, NoSuchBucket, NoSuchKey
from sagestack.engine.s3_uri import parse_s3_uri

INSIDE = "/opt/ml"
"""Where the program sees the run's directory."""
AWSGLUE = INIT.parent / "awsglue"


class RunFailed(Exception):
    """The run can't go on, for a reason that its owner can put right. The text is its
    ErrorMessage."""


@dataclass
class Files:
    """Paths as the program sees them."""

    script: str
    archives: list[str] = field(default_factory=list)
    wheels: list[str] = field(default_factory=list)
    """Of --extra-py-files; their dependencies are not theirs to bring."""
    modules: list[str] = field(default_factory=list)
    """What --additional-python-modules says, S3 URIs made into paths."""

    @property
    def python_path(self) -> str:
        return ":".join([f"{INSIDE}/python", *self.archives, f"{INSIDE}/modules", f"{INSIDE}/glue"])


def fetch_files(
    aws: AwsSession, command: Mapping[str, Any], arguments: Mapping[str, str], directory: Path
) -> Files:
    """Lay out everything a run needs. Raises RunFailed."""
    for name in ("script", "work", "python", "wheels", "modules", "glue"):
        (directory / name).mkdir()
    (directory / "glue" / "awsglue").symlink_to(AWSGLUE)
    script = _fetch(aws, command["ScriptLocation"], directory / "script", "The script")
    files = Files(script=f"{INSIDE}/script/{script}")
    for uri in listed(arguments, "--extra-files"):
        _fetch(aws, uri, directory / "work", "The extra file")
    for uri in listed(arguments, "--extra-py-files"):
        _fetch_python_file(aws, uri, directory, files)
    for module in listed(arguments, "--additional-python-modules"):
        if module.startswith("s3://"):
            name = _fetch(aws, module, directory / "wheels", "The Python module")
            module = f"{INSIDE}/wheels/{name}"
        files.modules.append(module)
    return files


def listed(arguments: Mapping[str, str], name: str) -> list[str]:
    """The items of an argument that is a list separated by commas."""
    return [part.strip() for part in arguments.get(name, "").split(",") if part.strip()]


def _fetch_python_file(aws: AwsSession, uri: str, directory: Path, files: Files) -> None:
    suffix = uri.rpartition(".")[2].lower()
    what = "The extra Python file"
    if suffix == "whl":
        files.wheels.append(f"{INSIDE}/wheels/{_fetch(aws, uri, directory / 'wheels', what)}")
    elif suffix in ("zip", "egg"):
        files.archives.append(f"{INSIDE}/python/{_fetch(aws, uri, directory / 'python', what)}")
    elif suffix == "py":
        _fetch(aws, uri, directory / "python", what)
    else:
        raise RunFailed(f"{what} {uri} is not a .py, .zip, .egg or .whl file.")


def _fetch(aws: AwsSession, uri: str, directory: Path, what: str) -> str:
    """One object into a directory; its name there. Raises RunFailed."""
    try:
        bucket, key = parse_s3_uri(uri)
        name = key.rpartition("/")[2]
        if name in ("", ".", ".."):
            raise ValueError(f"{uri!r} names no file")
        aws.download(bucket, key, directory / name)
    except ValueError as error:
        raise RunFailed(f"{what} can't be read: {error}.") from None
    except NoSuchBucket:
        raise RunFailed(f"{what} {uri} was not found: there is no bucket {bucket}.") from None
    except NoSuchKey:
        raise RunFailed(f"{what} {uri} was not found: there is no such object.") from None
    return name
