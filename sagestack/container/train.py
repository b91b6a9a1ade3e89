"""train: what a framework image does when it is started to train. Script mode.

Fetches the user's code that `sagemaker_submit_directory` names, installs its requirements,
sets the SM_* variables, and runs `sagemaker_program` with the hyperparameters as arguments.
The names are those of AWS's sagemaker-training toolkit (ENVIRONMENT_VARIABLES.md).
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

from run_as_main import call, finish, run_script  # type: ignore[import-not-found]

BASE = Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml"))
CONFIG = BASE / "input" / "config"
CODE = BASE / "code"
OUTPUT = BASE / "output"
BROUGHT = BASE / "input" / "sourcedir.tar.gz"
"""Where the platform puts the code it has fetched."""
# Hyperparameters that are for the image and not for the script, beside all that begin with
# `sagemaker_`.
RESERVED = ("default_user_module_name", "_tuning_objective_metric")


class UserError(Exception):
    """The job's input is at fault; the text is for its owner."""


def main() -> None:
    """Ends with the script's exit code. A Python script runs in this process; another, and
    one that has packages of its own, in a child."""
    try:
        hyperparameters = {key: decode(value) for key, value in read("hyperparameters").items()}
        program = setting("sagemaker_program", hyperparameters)
        source = setting("sagemaker_submit_directory", hyperparameters)
        fetch_code(source)
        if not (CODE / program).is_file():
            raise UserError(f"{program} is not in the submitted code: {names(CODE)}")
        in_child = install_requirements() or not program.endswith(".py")
        arguments = {k: v for k, v in hyperparameters.items() if not is_reserved(k)}
        run(program, arguments, source, in_child=in_child)
    except UserError as error:
        fail(str(error))
    except Exception:
        fail(f"Framework Error: \n{traceback.format_exc()}")


def read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((CONFIG / f"{name}.json").read_text())
    return content


def is_reserved(name: str) -> bool:
    return name.startswith("sagemaker_") or name in RESERVED


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
    """Into a directory of the job's own: the image is shared and can't be written. False
    where there is nothing to install."""
    requirements = CODE / "requirements.txt"
    if not requirements.is_file():
        return False
    target = BASE / "site-packages"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(target)]
    done = subprocess.run(
        [*command, "-r", str(requirements)], stderr=subprocess.PIPE, text=True, check=False
    )
    if done.returncode != 0:
        raise UserError(f"requirements.txt could not be installed:\n{done.stderr.strip()}")
    os.environ["PYTHONPATH"] = str(target)
    return True


def run(program: str, arguments: dict[str, Any], source: str, *, in_child: bool) -> NoReturn:
    """Run the user's program, note how it went, and end with its exit code."""
    command = [*interpreter(program), *as_arguments(arguments)]
    os.environ.update(script_variables(program, arguments, command))
    os.environ["SM_MODULE_DIR"] = source
    os.environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, (str(CODE), os.environ.get("PYTHONPATH")))
    )
    print(f"Invoking script with the following command:\n\n{shlex.join(command)}\n", flush=True)
    os.chdir(CODE)
    code = run_in_child(command) if in_child else run_script(program, command[2:])
    if code == 0:
        (OUTPUT / "success").touch()
    elif not (OUTPUT / "failure").exists():
        (OUTPUT / "failure").write_text(
            f'ExecuteUserScriptError:\nExitCode {code}\nCommand "{shlex.join(command)}"'
        )
    sys.exit(code)


def run_in_child(command: list[str]) -> int:
    code = subprocess.run(command, check=False).returncode
    return code if code >= 0 else 128 - code


def interpreter(program: str) -> list[str]:
    if program.endswith(".py"):
        return [sys.executable, program]
    (CODE / program).chmod(0o755)  # an object in S3 has no mode
    return ["/bin/sh", "-c", f'./{shlex.quote(program)} "$@"', program]


def as_arguments(values: dict[str, Any]) -> list[str]:
    """`--key value` in order of the keys, one letter as `-k value`, as the toolkit does."""
    arguments = []
    for key, value in sorted(values.items()):
        arguments.append(f"-{key}" if len(key) == 1 else f"--{key}")
        arguments.append(value if isinstance(value, str) else text(value))
    return arguments


def text(value: Any) -> str:
    return str(value) if isinstance(value, (bool, int, float)) else json.dumps(value)


def script_variables(program: str, arguments: dict[str, Any], command: list[str]) -> dict[str, str]:
    resources, channels = read("resourceconfig"), read("inputdataconfig")
    data = BASE / "input" / "data"
    values: dict[str, Any] = {
        "HOSTS": resources["hosts"],
        "NETWORK_INTERFACE_NAME": resources["network_interface_name"],
        "HPS": arguments,
        "USER_ENTRY_POINT": program,
        "FRAMEWORK_PARAMS": {},
        "RESOURCE_CONFIG": resources,
        "INPUT_DATA_CONFIG": channels,
        "OUTPUT_DATA_DIR": str(OUTPUT / "data"),
        "CHANNELS": sorted(channels),
        "CURRENT_HOST": resources["current_host"],
        "CURRENT_INSTANCE_TYPE": resources["current_instance_type"],
        "CURRENT_INSTANCE_GROUP": resources["current_group_name"],
        "CURRENT_INSTANCE_GROUP_HOSTS": resources["hosts"],
        "INSTANCE_GROUPS": [group["instance_group_name"] for group in resources["instance_groups"]],
        "INSTANCE_GROUPS_DICT": {
            group["instance_group_name"]: group for group in resources["instance_groups"]
        },
        "DISTRIBUTION_INSTANCE_GROUPS": [],
        "IS_HETERO": False,
        "MODULE_NAME": program.removesuffix(".py"),
        "LOG_LEVEL": 20,
        "FRAMEWORK_MODULE": "",
        "INPUT_DIR": str(BASE / "input"),
        "INPUT_CONFIG_DIR": str(CONFIG),
        "OUTPUT_DIR": str(OUTPUT),
        "NUM_CPUS": len(os.sched_getaffinity(0)),
        "NUM_GPUS": 0,
        "NUM_NEURONS": 0,
        "MODEL_DIR": str(BASE / "model"),
        "OUTPUT_INTERMEDIATE_DIR": str(OUTPUT / "intermediate"),
        "USER_ARGS": command[2:],
        **{f"CHANNEL_{name.upper()}": str(data / name) for name in channels},
        **{f"HP_{name.upper()}": value for name, value in arguments.items()},
    }
    values["TRAINING_ENV"] = {
        "channel_input_dirs": {name: str(data / name) for name in channels},
        "current_host": resources["current_host"],
        "hosts": resources["hosts"],
        "hyperparameters": arguments,
        "job_name": os.environ.get("TRAINING_JOB_NAME", ""),
        "model_dir": str(BASE / "model"),
        "num_cpus": values["NUM_CPUS"],
        "output_data_dir": str(OUTPUT / "data"),
        "user_entry_point": program,
    }
    return {
        f"SM_{key}": value if isinstance(value, str) else json.dumps(value)
        for key, value in values.items()
    }


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
    finish(call(main, __file__))
