"""EndpointRecord: the one owner of an endpoint's status.

Every change goes the same way: checked against the lifecycle and written to the store in
one transaction, then told to EventBridge, in the order of the changes.

Beside what DescribeEndpoint answers the document holds `Deployed`, the plan that is
served, and `Deploying`, the one that is being brought up.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sagestack.aws.document import Document
from sagestack.aws.errors import ValidationException
from sagestack.aws.store import Key, Record
from sagestack.context import Context, Instance
from sagestack.engine.lifecycle import Lifecycle
from sagestack.sagemaker.events import tell
from sagestack.serving.servers import RouteKey

KIND = "endpoint"
LONGEST_REASON = 1024
INTERNAL = ("Deployed", "Deploying")

ENDPOINT = Lifecycle(
    {
        "Creating": frozenset({"InService", "Failed"}),
        "InService": frozenset({"Updating", "Deleting", "SystemUpdating"}),
        "Updating": frozenset({"InService", "SystemUpdating"}),
        # Being served again after a restart.
        "SystemUpdating": frozenset({"InService", "Failed"}),
        "Failed": frozenset({"Deleting"}),
    }
)
IN_PROGRESS = ("Creating", "Updating", "SystemUpdating", "Deleting")


@dataclass(frozen=True)
class EndpointRecord:
    key: Key
    arn: str
    context: Context

    @classmethod
    def of(cls, record: Record, context: Context) -> EndpointRecord:
        return cls(record.key, record.arn, context)

    @property
    def name(self) -> str:
        return self.key.name

    @property
    def route_key(self) -> RouteKey:
        return self.key.account, self.key.region, self.key.name

    @property
    def directory(self) -> Path:
        """Where the endpoint's models and servers lie."""
        digest = hashlib.sha256(self.arn.encode()).hexdigest()[:12]
        return endpoints_directory(self.context.instance) / f"{self.name}-{digest}"

    def read(self) -> Document:
        record = self.context.store.get(self.key)
        assert record is not None, f"{self.arn} is being worked on, so it is stored"
        return record.document

    def create(self, record: Record, tags: dict[str, str]) -> None:
        """Store the record of a new endpoint. Raises RecordExists."""
        with self.context.instance.events.in_order:
            self.context.store.create(record, tags)
            self._tell(record)

    def change(self, edit: Callable[[Document], None]) -> Record:
        """Edit the document. What `edit` raises leaves it as it was."""

        def checked(document: Document) -> str:
            before = document["EndpointStatus"]
            edit(document)
            status: str = document["EndpointStatus"]
            ENDPOINT.check(self.arn, before, status)
            return status

        with self.context.instance.events.in_order:
            record = self.context.store.update(self.key, checked)
            self._tell(record)
        return record

    def _tell(self, record: Record) -> None:
        detail = public(record)
        detail["EndpointStatus"] = upper_snake(detail["EndpointStatus"])
        detail["Tags"] = self.context.store.tags(record.arn)
        tell("SageMaker Endpoint State Change", detail, record.arn, self.context)


def endpoints_directory(instance: Instance) -> Path:
    return instance.directory / "endpoints"


def public(record: Record) -> dict[str, Any]:
    """What DescribeEndpoint answers."""
    document = {m: value for m, value in record.document.items() if m not in INTERNAL}
    return document | {"LastModifiedTime": record.modified}


def check_idle(arn: str, document: Document) -> None:
    """Raises ValidationException, in AWS's words."""
    if document["EndpointStatus"] in IN_PROGRESS:
        raise ValidationException(f'Cannot update in-progress endpoint "{arn}".')


def check_updatable(arn: str, document: Document) -> None:
    """A failed endpoint can only be deleted. Raises ValidationException."""
    check_idle(arn, document)
    if document["EndpointStatus"] != "InService":
        raise ValidationException(
            f'Cannot update endpoint "{arn}" in status {document["EndpointStatus"]}. Delete it '
            "and create it again."
        )


def upper_snake(status: str) -> str:
    """`InService` -> `IN_SERVICE`, as events spell a status."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", status).upper()


def cut(reason: str) -> str:
    return reason if len(reason) <= LONGEST_REASON else reason[: LONGEST_REASON - 3] + "..."
