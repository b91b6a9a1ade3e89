"""What an unmodified program of the SageMaker SDK needs to find this instance.

The SDK builds the address of STS itself, from botocore's data, so variables alone do not
reach it. Two files do, written into the instance's directory: a copy of that data in which
STS is LocalStack (client/sitecustomize.py leads botocore to it), and the SDK's own
configuration. The credentials are those of an execution role, so that
`get_execution_role()` has one to answer with.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
import botocore
from botocore.exceptions import ClientError

from sagestack.server import Server

ROLE = "sagestack-execution-role"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Principal": {"Service": ["sagemaker.amazonaws.com", "glue.amazonaws.com"]},
        }
    ],
}
EVERYTHING = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
}


def sdk_environment(server: Server, region: str) -> dict[str, str]:
    """Make the role and the files; the variables that lead to them."""
    directory = server.directory / "sdk"
    directory.mkdir(parents=True, exist_ok=True)
    session = boto3.session.Session("test", "test", region_name=region)
    role = _role(session, server.endpoint_url)
    config = directory / "sagemaker.yaml"
    config.write_text(json.dumps(_sdk_config(role), indent=2))
    (directory / "endpoints.json").write_text(json.dumps(_endpoints(server)))
    return {
        "AWS_ENDPOINT_URL": server.endpoint_url,
        "AWS_DEFAULT_REGION": region,
        "AWS_REGION": region,
        **_credentials(session, server.endpoint_url, role),
        "SAGESTACK_CLIENT_DATA": str(directory),
        "PYTHONPATH": os.pathsep.join(_python_path()),
        "AWS_CA_BUNDLE": str(server.certificate),
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(config),
        "SAGEMAKER_ROLE_ARN": role,
        "SAGEMAKER_SUPPRESS_V2_WARNING": "1",
    }


def _python_path() -> list[str]:
    """The directory of client/sitecustomize.py, before what the shell has already."""
    mine = str(Path(__file__).parent / "client")
    others = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return [mine, *(entry for entry in others if entry and entry != mine)]


def as_shell(variables: Mapping[str, str]) -> str:
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())


def as_dotenv(variables: Mapping[str, str]) -> str:
    return "".join(f"{name}={json.dumps(value)}\n" for name, value in variables.items())


def write_user_config(server: Server, variables: Mapping[str, str], home: Path) -> list[Path]:
    """Put the two files where botocore and the SDK look by themselves; what was written.

    Raises FileExistsError for a file that is not sagestack's.
    """
    targets = {
        home / ".aws" / "models" / "endpoints.json": server.directory / "sdk" / "endpoints.json",
        home / ".config" / "sagemaker" / "config.yaml": Path(
            variables["SAGEMAKER_USER_CONFIG_OVERRIDE"]
        ),
    }
    for target in targets:
        if target.exists() and MARK not in target.read_text():
            raise FileExistsError(target)
    for target, source in targets.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(source.read_text())
    return list(targets)


MARK = "written by sagestack"


def _role(session: Any, endpoint_url: str) -> str:
    """The execution role's ARN, made where it is missing."""
    iam = session.client("iam", endpoint_url=endpoint_url)
    try:
        role = iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "EntityAlreadyExists":
            raise
        role = iam.get_role(RoleName=ROLE)["Role"]
    iam.put_role_policy(
        RoleName=ROLE, PolicyName="everything", PolicyDocument=json.dumps(EVERYTHING)
    )
    arn: str = role["Arn"]
    return arn


def _credentials(session: Any, endpoint_url: str, role: str) -> dict[str, str]:
    sts = session.client("sts", endpoint_url=endpoint_url)
    credentials = sts.assume_role(RoleArn=role, RoleSessionName="sagestack")["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
        "AWS_SESSION_TOKEN": credentials["SessionToken"],
    }


def _sdk_config(role: str) -> dict[str, Any]:
    """The SDK reads YAML, of which JSON is a part. It says nothing of a default bucket: the
    SDK's own has the region of each session in its name."""
    return {
        "SchemaVersion": "1.0",
        "CustomParameters": {"Comment": MARK},
        "SageMaker": {
            "PythonSDK": {"Modules": {"TelemetryOptOut": True}},
            "TrainingJob": {"RoleArn": role},
            "ProcessingJob": {"RoleArn": role},
            "Model": {"ExecutionRoleArn": role},
            "Pipeline": {"RoleArn": role},
        },
    }


def _endpoints(server: Server) -> dict[str, Any]:
    """botocore's endpoints, with STS at this instance. The SDK puts https before the name,
    and LocalStack speaks TLS on the same port, for the name localhost."""
    path = Path(botocore.__file__).parent / "data" / "endpoints.json"
    content: dict[str, Any] = json.loads(path.read_text())
    content["comment"] = MARK
    for partition in content["partitions"]:
        sts = partition["services"].get("sts", {})
        for endpoint in sts.get("endpoints", {}).values():
            endpoint["hostname"] = f"localhost:{server.port}"
            endpoint.pop("variants", None)
    return content
