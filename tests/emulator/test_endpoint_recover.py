"""After a restart on kept records: endpoints come back, with nothing left running before."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import sagestack.services
from sagestack.aws.document import Document
from sagestack.aws.store import Key
from sagestack.context import Context, Instance
from sagestack.serving.servers import Servers
from tests.emulator.endpoints import Endpoints, archive, constant, refused
from tests.emulator.jobs import ACCOUNT, BUCKET, REGION
from tests.waiting import wait_until


@pytest.fixture
def endpoints(context: Context) -> Endpoints:
    return Endpoints(context)


@pytest.fixture
def restarted(instance: Instance) -> Iterator[list[Instance]]:
    instances: list[Instance] = []
    yield instances
    for again in instances:
        again.servers.close()


def restart(endpoints: Endpoints, restarted: list[Instance]) -> Endpoints:
    """Another instance on the same directory and records."""
    old = endpoints.context.instance
    old.servers.close()
    again = replace(old, servers=Servers())
    restarted.append(again)
    sagestack.services.recover(again)
    return Endpoints(again.context(ACCOUNT, REGION))


def test_an_endpoint_is_served_again_without_s3(
    endpoints: Endpoints, restarted: list[Instance]
) -> None:
    source = archive({"predictor.py": constant("from source").encode()})
    endpoints.s3.put_object(Bucket=BUCKET, Key="job/sourcedir.tar.gz", Body=source)
    variables = {
        "SAGEMAKER_PROGRAM": "predictor.py",
        "SAGEMAKER_SUBMIT_DIRECTORY": f"s3://{BUCKET}/job/sourcedir.tar.gz",
    }
    model = endpoints.model(constant(1), container={"Environment": variables})
    plain, submitted = endpoints.serve(constant("plain")), endpoints.serve(model)
    for entry in endpoints.s3.list_objects_v2(Bucket=BUCKET)["Contents"]:
        endpoints.s3.delete_object(Bucket=BUCKET, Key=entry["Key"])
    again = restart(endpoints, restarted)
    assert again.describe(plain)["EndpointStatus"] in ("SystemUpdating", "InService")
    for name, answer in ((plain, "plain"), (submitted, "from source")):
        assert again.settled(name)["EndpointStatus"] == "InService", again.why(name)
        assert again.answer(name) == [answer]


def test_it_comes_back_scaled_as_it_was(endpoints: Endpoints, restarted: list[Instance]) -> None:
    name = endpoints.serve(constant(1), InitialInstanceCount=2)
    again = restart(endpoints, restarted)
    again.settled(name)
    assert len(again.variants(name)[0].fleet.servers) == 2
    error = refused(again.create, again.config(again.variant(constant(1), InitialInstanceCount=99)))
    assert "current utilization of 2" in error.message


def test_an_endpoint_whose_model_is_gone_from_everywhere_fails_and_says_so(
    endpoints: Endpoints, restarted: list[Instance]
) -> None:
    name = endpoints.serve(constant(1))
    shutil.rmtree(endpoints.context.instance.directory / "endpoints")
    for entry in endpoints.s3.list_objects_v2(Bucket=BUCKET)["Contents"]:
        endpoints.s3.delete_object(Bucket=BUCKET, Key=entry["Key"])
    endpoint = restart(endpoints, restarted).settled(name)
    assert endpoint["EndpointStatus"] == "Failed"
    assert "Failed to download model data" in endpoint["FailureReason"]


def put_status(endpoints: Endpoints, name: str, status: str) -> None:
    """As a server that died at that moment would have left it."""

    def change(document: Document) -> str:
        document["EndpointStatus"] = status
        if status == "Creating":
            document["Deploying"] = document.pop("Deployed")
        return status

    key = Key.of(endpoints.context.caller, "endpoint", name)
    endpoints.context.store.update(key, change)


def test_what_was_being_created_is_created(endpoints: Endpoints, restarted: list[Instance]) -> None:
    name = endpoints.serve(constant(1))
    put_status(endpoints, name, "Creating")
    again = restart(endpoints, restarted)
    assert again.settled(name)["EndpointStatus"] == "InService"
    assert again.answer(name) == [1]


def test_what_was_being_updated_is_back_as_it_was(
    endpoints: Endpoints, restarted: list[Instance]
) -> None:
    name = endpoints.serve(constant("old"))
    put_status(endpoints, name, "Updating")
    again = restart(endpoints, restarted)
    endpoint = again.settled(name)
    assert endpoint["EndpointStatus"] == "InService"
    assert "The update did not end before the server" in endpoint["FailureReason"]
    assert again.answer(name) == ["old"]


def test_what_was_being_deleted_is_gone(endpoints: Endpoints, restarted: list[Instance]) -> None:
    name = endpoints.serve(constant(1))
    put_status(endpoints, name, "Deleting")
    again = restart(endpoints, restarted)
    wait_until(lambda: not again.exists(name))


def test_files_of_no_endpoint_are_taken_away(
    endpoints: Endpoints, restarted: list[Instance]
) -> None:
    left_over: Path = endpoints.context.instance.directory / "endpoints" / "left-over"
    (left_over / "model").mkdir(parents=True)
    restart(endpoints, restarted)
    assert not left_over.exists()


def test_the_end_of_an_instance_ends_every_server_and_fails_no_endpoint(
    endpoints: Endpoints,
) -> None:
    served = endpoints.serve(constant(1))
    created = endpoints.create(endpoints.config(endpoints.variant(constant(1))))
    [server] = endpoints.variants(served)[0].fleet.servers
    endpoints.context.instance.servers.close()
    assert not server.ready
    assert endpoints.describe(served)["EndpointStatus"] == "InService"
    assert endpoints.describe(created)["EndpointStatus"] in ("Creating", "InService")
