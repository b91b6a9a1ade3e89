"""Moto as the engine's host: S3, logs, metrics and events in the same process."""

from __future__ import annotations

from typing import Any

from sagestack.boto_host import BotoSession

NO_AWS = "http://jobs-of-mock-sagemaker-reach-no-aws.invalid"
"""What a job finds as its endpoint: a name that no network resolves, and that says why."""


class MotoSession(BotoSession):
    """Moto knows accounts by the keys it gave out, and for us by a header."""

    def __init__(self, account: str, region: str, endpoint_url: str | None) -> None:
        super().__init__(account, region, endpoint_url)

        def name_account(params: Any, **_: Any) -> None:
            params["headers"]["x-moto-account-id"] = account

        self._session.events.register("before-call", name_account)

    def role_environment(self, role_arn: str, session_name: str) -> dict[str, str]:
        """A job is a process of its own, and moto has no endpoint it could call."""
        environment = super().role_environment(role_arn, session_name)
        return environment | {"AWS_ENDPOINT_URL": NO_AWS, "AWS_MAX_ATTEMPTS": "1"}
