"""A stack on a live LocalStack, in few words."""

from __future__ import annotations

import io
import itertools
import json
import tarfile
from collections.abc import Iterable
from typing import Any

import localstack_client.session

from tests.waiting import wait_until

Resource = dict[str, Any]
ACCOUNT_ID = "222222222222"
"""An account of these tests' own: what others leave is not seen, nor is theirs by them."""
ROLE = f"arn:aws:iam::{ACCOUNT_ID}:role/sagemaker"
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
BUCKET = "stack-tests"
SECONDS = 120
ACCOUNT = {"Ref": "AWS::AccountId"}


class Cloud:
    """Clients of one LocalStack, and what the stacks need there."""

    def __init__(self, host: str) -> None:
        session = localstack_client.session.Session(ACCOUNT_ID, localstack_host=host)
        clients = (
            session.client(service)
            for service in ("cloudformation", "s3", "sagemaker", "sagemaker-runtime", "glue", "iam")
        )
        self.cloudformation, self.s3, self.sagemaker, self.runtime, self.glue, self.iam = clients
        self.s3.create_bucket(Bucket=BUCKET)
        self.iam.create_role(RoleName="sagemaker", AssumeRolePolicyDocument="{}")
        self.put_model("one.tar.gz", "def model_fn(d): return 1")
        self.put_model("two.tar.gz", "def model_fn(d): return 2")
        self.put_model("slow.tar.gz", "import time\ndef model_fn(d): time.sleep(3); return 3")
        self.put_model("broken.tar.gz", "def model_fn(d): raise ValueError('broken')")

    def put_model(self, key: str, script: str) -> None:
        code = f"{script}\ndef predict_fn(data, model): return [model]\n".encode()
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            member = tarfile.TarInfo("code/inference.py")
            member.size = len(code)
            tar.addfile(member, io.BytesIO(code))
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=buffer.getvalue())

    def put_template(self, key: str, template: dict[str, Any]) -> str:
        self.s3.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(template))
        return f"{self.s3.meta.endpoint_url}/{BUCKET}/{key}"

    def ask(self, endpoint: str) -> str:
        answer = self.runtime.invoke_endpoint(
            EndpointName=endpoint, Body="[1]", ContentType="application/json"
        )
        return str(answer["Body"].read().decode())

    def buckets(self) -> set[str]:
        return {bucket["Name"] for bucket in self.s3.list_buckets()["Buckets"]}

    def models(self) -> set[str]:
        return {model["ModelName"] for model in self.sagemaker.list_models()["Models"]}

    def endpoints(self) -> set[str]:
        """The statuses of all."""
        return {found["EndpointStatus"] for found in self.sagemaker.list_endpoints()["Endpoints"]}

    def databases(self) -> dict[str, str]:
        """Names and descriptions."""
        found = self.glue.get_databases()["DatabaseList"]
        return {database["Name"]: database.get("Description", "") for database in found}


class Stack:
    numbers = itertools.count(1)

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.name = f"stack-{next(self.numbers)}"
        self.id = ""

    def create(self, resources: Resource, **members: Any) -> str:
        """The status the stack comes to."""
        request = self._request(resources, members)
        self.id = self.cloud.cloudformation.create_stack(**request)["StackId"]
        return self.settled()

    def update(self, resources: Resource, **members: Any) -> str:
        self.cloud.cloudformation.update_stack(**self._request(resources, members))
        return self.settled()

    def change_set(self, resources: Resource, kind: str, **members: Any) -> dict[str, Any]:
        """Create a change set; what Describe says of it."""
        name = f"change-{next(self.numbers)}"
        request = self._request(resources, members)
        made = self.cloud.cloudformation.create_change_set(
            ChangeSetName=name, ChangeSetType=kind, **request
        )
        self.id = made["StackId"]
        described: dict[str, Any] = self.cloud.cloudformation.describe_change_set(
            ChangeSetName=made["Id"]
        )
        return described

    def deploy(
        self, resources: Resource, kind: str, disable_rollback: bool = False, **members: Any
    ) -> str:
        """As `cdk deploy` does: a change set, executed."""
        change_set = self.change_set(resources, kind, **members)
        self.cloud.cloudformation.execute_change_set(
            ChangeSetName=change_set["ChangeSetId"], DisableRollback=disable_rollback
        )
        return self.settled()

    def delete(self, **members: Any) -> str:
        self.cloud.cloudformation.delete_stack(StackName=self.id, **members)
        return self.settled()

    def describe(self) -> dict[str, Any]:
        answer = self.cloud.cloudformation.describe_stacks(StackName=self.id)
        stack: dict[str, Any] = answer["Stacks"][0]
        return stack

    def settled(self) -> str:
        def idle() -> str:
            status = str(self.describe()["StackStatus"])
            return "" if status.endswith("_IN_PROGRESS") else status

        return wait_until(idle, SECONDS, f"{self.name} is idle")

    def outputs(self) -> dict[str, str]:
        return {o["OutputKey"]: o["OutputValue"] for o in self.describe().get("Outputs", ())}

    def reason(self, logical_id: str) -> str:
        """Why a resource failed, the last time it did."""
        events = self.cloud.cloudformation.describe_stack_events(StackName=self.id)
        return next(
            str(event["ResourceStatusReason"])
            for event in events["StackEvents"]
            if event["LogicalResourceId"] == logical_id and "ResourceStatusReason" in event
        )

    def resources(self) -> dict[str, str]:
        """Logical and physical ids of what is deployed."""
        answer = self.cloud.cloudformation.describe_stack_resources(StackName=self.name)
        return {
            found["LogicalResourceId"]: found["PhysicalResourceId"]
            for found in answer["StackResources"]
            if found["ResourceStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE")
        }

    def _request(self, resources: Resource, members: dict[str, Any]) -> dict[str, Any]:
        template = {"Resources": resources, **members.pop("template", {})}
        return {"StackName": self.name, "TemplateBody": json.dumps(template), **members}


def model(archive: Any = "one.tar.gz", **properties: Any) -> Resource:
    """`archive` may be a reference."""
    url = {"Fn::Join": ["/", [f"s3://{BUCKET}", archive]]}
    container = {"Image": IMAGE, "ModelDataUrl": url}
    return resource(
        "SageMaker::Model", ExecutionRoleArn=ROLE, PrimaryContainer=container, **properties
    )


def serving(archive: Any = "one.tar.gz") -> Resource:
    """A model, its endpoint configuration and its endpoint."""
    variant = {
        "VariantName": "main",
        "ModelName": {"Fn::GetAtt": ["Model", "ModelName"]},
        "InitialInstanceCount": "1",
        "InstanceType": "ml.m5.large",
    }
    config = {"Fn::GetAtt": ["Config", "EndpointConfigName"]}
    return {
        "Model": model(archive),
        "Config": resource("SageMaker::EndpointConfig", ProductionVariants=[variant]),
        "Endpoint": resource("SageMaker::Endpoint", EndpointConfigName=config),
    }


def database(description: str = "", **properties: Any) -> Resource:
    return resource(
        "Glue::Database",
        CatalogId=ACCOUNT,
        DatabaseInput={"Description": description},
        **properties,
    )


def bucket(name: str) -> Resource:
    return resource("S3::Bucket", BucketName=name)


def unsupported(*after: str) -> Resource:
    """A resource that fails, once the others are done."""
    pipeline = resource("SageMaker::Pipeline", PipelineName="p")
    return {**pipeline, "DependsOn": list(after)}


def resource(kind: str, **properties: Any) -> Resource:
    return {"Type": f"AWS::{kind}", "Properties": properties}


def outputs(**values: Any) -> dict[str, Any]:
    return {"Outputs": {name: {"Value": value} for name, value in values.items()}}


def get_att(names: Iterable[str]) -> dict[str, list[str]]:
    return {"Fn::GetAtt": list(names)}


SERVING_OUTPUTS = outputs(
    Model={"Ref": "Model"},
    ModelName=get_att(["Model", "ModelName"]),
    Config={"Ref": "Config"},
    ConfigName=get_att(["Config", "EndpointConfigName"]),
    Endpoint={"Ref": "Endpoint"},
    EndpointName=get_att(["Endpoint", "EndpointName"]),
)
