"""train: what a framework image does when it is started to train. Script mode.

Fetches the user's code that `sagemaker_submit_directory` names, installs its requirements,
and runs `sagemaker_program` with the hyperparameters as arguments and variables.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tarfile
import traceback
from pathlib import Path
from typing import Any, NoReturn

import script_environment  # type: ignore[import-not-found]
from model_server.packages import (  # type: ignore[import-not-found]
    RequirementsFailed,
    install,
)
from run_as_main import Ended, call, finish, run_script  # type: ignore[import-not-found]

BASE = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
CONFIG = BASE / "input" / "config"
CODE = BASE / "code"
OUTPUT = BASE / "output"
BROUGHT = BASE / "input" / "sourcedir.tar.gz"
"""Where the platform puts the code it has fetched."""

UNSUPPORTED = (
    "sagemaker_distributed_dataparallel_enabled",
    "sagemaker_mpi_enabled",
    "sagemaker_multi_worker_mirrored_strategy_enabled",
    "sagemaker_parameter_server_enabled",
    "sagemaker_pytorch_xla_multi_worker_enabled",
    "sagemaker_s3_output",
    "sagemaker_torch_distributed_enabled",
)
"""What the toolkit would do beside running the script, and this does not."""


class UserError(Exception):
    """The job's input is at fault; the text is for its owner."""


def main() -> None:
    """Ends with 0, or with 1 and a failure file. A Python script runs in this process; another,
    and one that has packages of its own, in a child."""
    try:
        hyperparameters = {key: decode(value) for key, value in read("hyperparameters").items()}
        if unsupported := [name for name in UNSUPPORTED if hyperparameters.get(name)]:
            raise UserError(f"sagestack does not support {', '.join(unsupported)}")
        program = setting("sagemaker_program", hyperparameters)
        source = setting("sagemaker_submit_directory", hyperparameters)
        fetch_code(source)
        if not (CODE / program).is_file():
            raise UserError(f"{program} is not in the submitted code: {names(CODE)}")
        in_child = install_requirements() or not program.endswith(".py")
        variables = script_environment.variables(program, source, hyperparameters, BASE)
        run(program, variables, in_child=in_child)
    except UserError as error:
        fail(str(error))
    except Exception:
        fail(f"Framework Error: \n{traceback.format_exc()}")


def read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((CONFIG / f"{name}.json").read_text())
    return content


def decode(value: str) -> Any:
    """SDK v2 sends JSON, v3 sends plain text."""
    try:
        return json.loads(value)
    except ValueError:
        return value


def setting(name: str, hyperparameters: dict[str, Any]) -> str:
    value = hyperparameters.get(name) or os.environ.get(name.upper())
    if not value:
        raise UserError(
            f"{name} is given neither as a hyperparameter nor as {name.upper()}: "
            "script mode needs to know the code to run"
        )
    return str(value)


def fetch_code(source: str) -> None:
    """From S3, where the platform has not brought it already, or from a directory or an
    archive in the container."""
    CODE.mkdir(parents=True, exist_ok=True)
    if BROUGHT.is_file():
        unpack(BROUGHT, source)
    elif source.startswith("s3://"):
        import boto3

        bucket, _, key = source.removeprefix("s3://").partition("/")
        archive = OUTPUT / "sourcedir.tar.gz"
        try:
            boto3.client("s3").download_file(bucket, key, str(archive))
        except Exception as error:
            raise UserError(f"the code could not be fetched from {source}: {error}") from error
        unpack(archive, source)
        archive.unlink()
    elif Path(source).is_dir():
        subprocess.run(["cp", "-R", f"{source}/.", str(CODE)], check=True)
    elif Path(source).is_file():
        unpack(Path(source), source)
    else:
        raise UserError(
            f"sagemaker_submit_directory {source} is not an S3 URI, a directory or an archive"
        )


def unpack(archive: Path, source: str) -> None:
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(CODE, filter="data")
    except (tarfile.TarError, EOFError) as error:
        raise UserError(f"the code could not be unpacked from {source}: {error}") from error


def install_requirements() -> bool:
    """Into an environment of the job's own over the image's. False where there is nothing
    to install."""
    requirements = CODE / "requirements.txt"
    if not requirements.is_file():
        return False
    try:
        put_on_path(install(requirements, BASE / "packages", quietly=True))
    except RequirementsFailed as error:
        raise UserError(f"requirements.txt could not be installed:\n{error}") from error
    return True


def run(program: str, variables: dict[str, str], *, in_child: bool) -> NoReturn:
    """Run the user's program and note how it went. A failure ends with 1, whatever the
    program's own code, as with the toolkit."""
    arguments = json.loads(variables["SM_USER_ARGS"])
    command = [*interpreter(program), *arguments]
    os.environ.update(variables)
    put_on_path(CODE)
    print(f"Invoking script with the following command:\n\n{shlex.join(command)}\n", flush=True)
    os.chdir(CODE)
    ended = run_in_child(command) if in_child else run_script(program, arguments)
    if ended.code == 0:
        (OUTPUT / "success").touch()
        sys.exit(0)
    if not (OUTPUT / "failure").exists():
        (OUTPUT / "failure").write_text(
            f'ExecuteUserScriptError:\nExitCode {ended.code}\nErrorMessage "{ended.error}"\n'
            f'Command "{shlex.join(command)}"'
        )
    sys.exit(1)


def put_on_path(directory: Path) -> None:
    others = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = f"{directory}{os.pathsep}{others}" if others else str(directory)


def run_in_child(command: list[str]) -> Ended:
    return Ended(subprocess.run(command, check=False).returncode, "")


def interpreter(program: str) -> list[str]:
    if program.endswith(".py"):
        return [sys.executable, program]
    (CODE / program).chmod(0o755)  # an object in S3 has no mode
    return ["/bin/sh", "-c", f'./{shlex.quote(program)} "$@"', program]


def names(directory: Path) -> str:
    return ", ".join(sorted(path.name for path in directory.iterdir())) or "nothing"


def fail(message: str) -> NoReturn:
    print(message, file=sys.stderr, flush=True)
    failure = OUTPUT / "failure"
    if not failure.exists():
        failure.write_text(message)
    sys.exit(1)


if __name__ == "__main__":
    del sys.path[0]  # the user's code finds none of ours
    finish(call(main, __file__).code)
