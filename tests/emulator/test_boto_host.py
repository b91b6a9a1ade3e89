"""The host that boto3 reaches: what it remembers, and what it must not."""

from __future__ import annotations

from sagestack.boto_host import BotoHost, BotoSession
from sagestack.engine.logs import LogWriter
from tests.emulator.jobs import ACCOUNT, REGION, ROLE
from tests.waiting import wait_until


def test_session_of_an_account_and_region_is_made_once(aws: None) -> None:
    host = BotoHost(None)
    assert host.session(ACCOUNT, REGION) is host.session(ACCOUNT, REGION)
    assert host.session(ACCOUNT, "eu-west-1") is not host.session(ACCOUNT, REGION)


def test_log_group_that_was_deleted_is_made_again(aws: None) -> None:
    session = BotoSession(ACCOUNT, REGION, None)
    logs = session.client("logs")
    session.create_log_stream("/group", "one")
    logs.delete_log_group(logGroupName="/group")
    session.create_log_stream("/group", "two")
    streams = logs.describe_log_streams(logGroupName="/group")["logStreams"]
    assert [stream["logStreamName"] for stream in streams] == ["two"]


def test_group_and_stream_that_are_there_are_left_alone(aws: None) -> None:
    for _ in range(2):
        BotoSession(ACCOUNT, REGION, None).create_log_stream("/group", "one")


def test_jobs_of_a_role_share_its_credentials(aws: None) -> None:
    session = BotoSession(ACCOUNT, REGION, None)
    one = session.role_environment(ROLE, "SageMaker")
    assert session.role_environment(ROLE, "SageMaker") == one
    assert session.role_environment(f"{ROLE}-other", "SageMaker") != one


def test_lines_for_a_stream_that_was_deleted_are_not_lost(aws: None) -> None:
    session = BotoSession(ACCOUNT, REGION, None)
    logs = session.client("logs")
    log = LogWriter(session, "/group", "one")
    wait_until(lambda: logs.describe_log_groups()["logGroups"], what="the group")
    logs.delete_log_group(logGroupName="/group")
    log.write("a line")
    log.close()
    events = logs.get_log_events(logGroupName="/group", logStreamName="one")["events"]
    assert [event["message"] for event in events] == ["a line"]
