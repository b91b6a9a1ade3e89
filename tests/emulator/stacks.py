"""Resources of a stack in few words, on the provider that CloudFormation calls."""

import json
import time

from sagestack.cloudformation import types
from sagestack.cloudformation.provider import Owner, Provider
from tests.emulator.endpoints import Endpoints, constant
from tests.emulator.jobs import ACCOUNT, IMAGE, ROLE

ONE = constant(1)
SHELL = {"Name": "pythonshell", "PythonVersion": "3.9", "ScriptLocation": "s3://b/a.py"}


class Resources:
    """Handlers as CloudFormation calls them: again and again until they are done."""

    def __init__(self, context, **stack_tags):
        self.context = context
        self.stack_tags = stack_tags
        self.endpoints = Endpoints(context)

    def provider(self, kind):
        return Provider(kind, Owner("stack", "Logical", self.stack_tags), self.context)

    def create(self, kind, properties):
        return self._finish(self.provider(kind).create, properties)

    def update(self, kind, properties, deployed):
        provider = self.provider(kind)
        return self._finish(lambda p, phase="": provider.update(p, deployed, phase), properties)

    def delete(self, kind, model):
        return self._finish(self.provider(kind).delete, model)

    def _finish(self, handler, properties):
        step = handler(properties)
        deadline = time.monotonic() + 60
        while not step.done:
            assert time.monotonic() < deadline, "not done in time"
            time.sleep(0.02)
            # The model goes through CloudFormation's own state on its way.
            step = handler(json.loads(json.dumps(step.model)), step.phase)
        return step.model

    def call(self, service, operation, **request):
        return self.context.call(service, operation, request)

    def model(self, script=ONE, **properties):
        container = {"Image": IMAGE, "ModelDataUrl": self.endpoints.put_archive(script)}
        return self.create(
            types.MODEL,
            {"ExecutionRoleArn": ROLE, "PrimaryContainer": container, **properties},
        )

    def config(self, script=ONE, **properties):
        variant = {
            "VariantName": "main",
            "ModelName": self.model(script)["ModelName"],
            "InitialInstanceCount": "1",
            "InstanceType": "ml.m5.large",
        }
        return self.create(types.ENDPOINT_CONFIG, {"ProductionVariants": [variant], **properties})

    def endpoint(self, script=ONE, **properties):
        config = self.config(script)["EndpointConfigName"]
        return self.create(types.ENDPOINT, {"EndpointConfigName": config, **properties})

    def database(self, **properties):
        database = {"CatalogId": ACCOUNT, "DatabaseInput": {"Description": "d"}, **properties}
        return self.create(types.DATABASE, database)

    def table(self, database, **table_input):
        properties = {"CatalogId": ACCOUNT, "DatabaseName": database, "TableInput": table_input}
        return self.create(types.TABLE, properties)

    def tags(self, arn):
        answer = self.call("sagemaker", "ListTags", ResourceArn=arn)
        return {tag["Key"]: tag["Value"] for tag in answer["Tags"]}
