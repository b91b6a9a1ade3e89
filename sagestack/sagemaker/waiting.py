"""A client that waits for the end of a job or an endpoint hears of it when it comes.

boto3's waiters, and so the AWS CLI's, look at a training job every 120 seconds; the SageMaker
SDK v2 every 30. "In progress" would cost a job of one second that much, so the answer to their
look is held back until there is an end to tell, for a while. AWS answers at once.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

from sagestack.aws.store import Key
from sagestack.context import Context
from sagestack.sagemaker.endpoint import record as endpoint
from sagestack.sagemaker.job_record import PROCESSING_JOB, TRAINING_JOB, TRANSFORM_JOB

LOOKS = {
    "DescribeEndpoint": (endpoint.KIND, "EndpointName"),
    **{
        f"Describe{job.name_member.removesuffix('Name')}": (job.kind, job.name_member)
        for job in (TRAINING_JOB, PROCESSING_JOB, TRANSFORM_JOB)
    },
}
IN_PROGRESS = ("InProgress", "Stopping", *endpoint.IN_PROGRESS)
PATIENCE = (
    (re.compile(r" m/([A-Za-z],)*B\b"), 20.0),  # a botocore waiter; botocore/useragent.py
    (re.compile(r"AWS-SageMaker-Python-SDK[#/]2\."), 10.0),  # it shows the log every 10 s
)
"""User agents, and how many seconds an answer to them is held back."""
INTERVAL = 0.05


def hold(operation: str, request: Mapping[str, Any], context: Context, user_agent: str) -> None:
    """Return when the operation has an end to tell, or at once if its client does not wait."""
    kind, member = LOOKS.get(operation, ("", ""))
    if member not in request:
        return
    seconds = next((seconds for agent, seconds in PATIENCE if agent.search(user_agent)), 0.0)
    key = Key.of(context.caller, kind, str(request[member]))
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not context.instance.servers.closing:
        record = context.store.get(key)
        if record is None or record.status not in IN_PROGRESS:
            return
        time.sleep(INTERVAL)
