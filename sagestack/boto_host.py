"""BotoHost: the host as boto3 reaches it, at an endpoint or in a process under moto."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import boto3
import botocore.loaders
import botocore.session
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

from sagestack.engine.host import BadKey, LogEvent, NoSuchBucket, NoSuchKey, S3Object

LOG = logging.getLogger(__name__)
TRANSFER = TransferConfig(multipart_threshold=64 * 1024**2, max_concurrency=4)
ROLE_SECONDS = 3600.0
"""How long a role's credentials, which last twelve hours, are given to its jobs."""
LONGEST_KEY = 1024
"""Bytes of UTF-8. Source: S3's user guide, object keys."""
MISSING_KEY = ("NoSuchKey", "404")


class _Loader(botocore.loaders.Loader):
    """Keeps the service models for all sessions: to read them is most of what a client costs.
    boto3 adds its own path to each loader it is given, which is not to add up."""

    @property
    def search_paths(self) -> list[str]:
        return list(super().search_paths)


_loader = _Loader()


class BotoHost:
    """A host at `endpoint_url`, or moto's in-process one where that is None."""

    def __init__(
        self, endpoint_url: str | None, session_type: type[BotoSession] | None = None
    ) -> None:
        """`session_type` is a kind of BotoSession that knows the host better."""
        self.endpoint_url = endpoint_url
        self._session_type = session_type or BotoSession
        self._sessions: dict[tuple[str, str], BotoSession] = {}
        self._lock = threading.Lock()

    def session(self, account: str, region: str) -> BotoSession:
        with self._lock:
            session = self._sessions.get((account, region))
            if session is None:
                session = self._session_type(account, region, self.endpoint_url)
                self._sessions[account, region] = session
            return session


class BotoSession:
    """Implements engine.host.AwsSession. LocalStack takes a 12-digit access key as the
    account to act in."""

    def __init__(self, account: str, region: str, endpoint_url: str | None) -> None:
        self.account, self.region, self.endpoint_url = account, region, endpoint_url
        models = botocore.session.Session()
        models.register_component("data_loader", _loader)
        self._session: Any = boto3.session.Session(
            aws_access_key_id=account,
            aws_secret_access_key="sagestack",
            region_name=region,
            botocore_session=models,
        )
        self._clients: dict[str, Any] = {}
        self._log_groups: set[str] = set()
        self._roles: dict[tuple[str, str], tuple[dict[str, str], float]] = {}
        self._lock = threading.Lock()

    def client(self, service: str) -> Any:
        """A client of this account and region. Clients are safe to share between threads."""
        with self._lock:
            if service not in self._clients:
                config = Config(
                    s3={"addressing_style": "path"},
                    max_pool_connections=32,
                    retries={"mode": "standard", "max_attempts": 3},
                )
                self._clients[service] = self._session.client(
                    service, endpoint_url=self.endpoint_url, config=config
                )
            return self._clients[service]

    def bucket_exists(self, bucket: str) -> bool:
        try:
            self.client("s3").head_bucket(Bucket=bucket)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("404", "NoSuchBucket"):
                return False
            raise
        return True

    def list_objects(self, bucket: str, prefix: str) -> Iterator[S3Object]:
        pages = self.client("s3").get_paginator("list_objects_v2").paginate
        for page in _s3(lambda: list(pages(Bucket=bucket, Prefix=prefix)), bucket, prefix):
            for entry in page.get("Contents", ()):
                yield S3Object(entry["Key"], entry["Size"], entry["LastModified"])

    def read_object(self, bucket: str, key: str) -> bytes:
        get = self.client("s3").get_object
        body: bytes = _s3(lambda: get(Bucket=bucket, Key=key), bucket, key)["Body"].read()
        return body

    def read_range(self, bucket: str, key: str, start: int, size: int) -> bytes:
        get = self.client("s3").get_object
        wanted = f"bytes={start}-{start + size - 1}"
        try:
            got = _s3(lambda: get(Bucket=bucket, Key=key, Range=wanted), bucket, key)
        except ClientError as error:
            if error.response["Error"]["Code"] == "InvalidRange":
                return b""
            raise
        body: bytes = got["Body"].read()
        return body

    def download(self, bucket: str, key: str, path: str | Path) -> None:
        get = self.client("s3").get_object
        body = _s3(lambda: get(Bucket=bucket, Key=key), bucket, key)["Body"]
        with open(path, "wb") as file:
            for chunk in body.iter_chunks(1024**2):
                file.write(chunk)

    def upload(self, path: Path, bucket: str, key: str, *, kms_key_id: str | None = None) -> None:
        _check_key(key)
        extra: dict[str, str] = {}
        if kms_key_id:
            extra = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key_id}
        client = self.client("s3")

        def send() -> None:
            if os.path.getsize(path) < TRANSFER.multipart_threshold:
                with path.open("rb") as file:
                    client.put_object(Bucket=bucket, Key=key, Body=file, **extra)
            else:
                client.upload_file(str(path), bucket, key, ExtraArgs=extra, Config=TRANSFER)

        _s3(send, bucket, key)

    def put_object(self, bucket: str, key: str, body: bytes) -> None:
        put = self.client("s3").put_object
        _s3(lambda: put(Bucket=bucket, Key=key, Body=body), bucket, key)

    def create_log_stream(self, group: str, stream: str) -> None:
        logs = self.client("logs")
        if group not in self._log_groups:
            _make(lambda: logs.create_log_group(logGroupName=group))
            self._log_groups.add(group)
        try:
            _make(lambda: logs.create_log_stream(logGroupName=group, logStreamName=stream))
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
            # Someone has deleted the group since.
            _make(lambda: logs.create_log_group(logGroupName=group))
            _make(lambda: logs.create_log_stream(logGroupName=group, logStreamName=stream))

    def put_log_events(self, group: str, stream: str, events: Sequence[LogEvent]) -> None:
        self.client("logs").put_log_events(
            logGroupName=group,
            logStreamName=stream,
            logEvents=[{"timestamp": e.timestamp, "message": e.message} for e in events],
        )

    def put_metric_data(self, namespace: str, data: Sequence[Mapping[str, Any]]) -> None:
        self.client("cloudwatch").put_metric_data(Namespace=namespace, MetricData=list(data))

    def put_event(
        self, source: str, detail_type: str, detail: Mapping[str, Any], resources: Sequence[str]
    ) -> None:
        entry = {
            "Source": source,
            "DetailType": detail_type,
            "Detail": json.dumps(detail),
            "Resources": list(resources),
        }
        self.client("events").put_events(Entries=[entry])

    def role_environment(self, role_arn: str, session_name: str) -> dict[str, str]:
        """The same credentials for an hour: to ask for them takes as long as a fork does."""
        key = role_arn, session_name
        environment, known_at = self._roles.get(key, ({}, 0.0))
        if not environment or time.monotonic() - known_at > ROLE_SECONDS:
            environment = self._assume(role_arn, session_name)
            self._roles[key] = environment, time.monotonic()
        return dict(environment)

    def _assume(self, role_arn: str, session_name: str) -> dict[str, str]:
        answer = self.client("sts").assume_role(
            RoleArn=role_arn, RoleSessionName=session_name[:64], DurationSeconds=43200
        )
        credentials = answer["Credentials"]
        environment = {
            "AWS_ACCESS_KEY_ID": credentials["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": credentials["SecretAccessKey"],
            "AWS_SESSION_TOKEN": credentials["SessionToken"],
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
        }
        if self.endpoint_url:
            environment["AWS_ENDPOINT_URL"] = self.endpoint_url
        return environment


def _make(create: Callable[[], Any]) -> None:
    """Nothing is wrong where it is there already."""
    try:
        create()
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceAlreadyExistsException":
            raise


def _check_key(key: str) -> None:
    """Raises BadKey."""
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise BadKey(f"Data upload failed:S3 key is not UTF-8: {key!r}") from None
    if size > LONGEST_KEY:
        raise BadKey(f"Data upload failed:S3 key is too long: {key!r}")


def _s3[T](call: Callable[[], T], bucket: str, key: str) -> T:
    try:
        return call()
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "NoSuchBucket":
            raise NoSuchBucket(bucket) from None
        if code in MISSING_KEY:
            raise NoSuchKey(f"s3://{bucket}/{key}") from None
        raise
