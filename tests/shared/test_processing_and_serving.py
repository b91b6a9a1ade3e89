"""Processing jobs, endpoints and Glue's catalog, on both hosts."""

from __future__ import annotations

import io

import pytest
from botocore.exceptions import ClientError

from tests.emulator.endpoints import BROKEN, Endpoints
from tests.emulator.jobs import BUCKET, ProcessingJobs, s3_input, s3_output
from tests.shared.hosts import ClientContext

UPPER = """
def model_fn(model_dir): return None
def transform_fn(model, body, content_type, accept): return body.upper(), content_type
"""


def test_processing_job_writes_its_output(processing: ProcessingJobs) -> None:
    data = processing.put("shared/in/data.txt", "content")
    job = processing.run(
        """
        import pathlib
        text = pathlib.Path("/opt/ml/processing/in/data.txt").read_text()
        pathlib.Path("/opt/ml/processing/out/upper.txt").write_text(text.upper())
        """,
        inputs=[s3_input("data", data, "/opt/ml/processing/in")],
        outputs=[s3_output("out", f"s3://{BUCKET}/shared/out", "/opt/ml/processing/out")],
    )
    assert processing.status(job) == "Completed", job
    assert processing.get("shared/out/upper.txt") == b"CONTENT"


def test_processing_job_that_fails_says_why(processing: ProcessingJobs) -> None:
    job = processing.run(
        "open('/opt/ml/output/message', 'w').write('bad data'); raise SystemExit(2)"
    )
    assert processing.status(job) == "Failed"
    assert job["ExitMessage"] == "bad data"
    assert job["FailureReason"].startswith("AlgorithmError")


def test_processing_job_stops(processing: ProcessingJobs) -> None:
    name = processing.create("import time; print('begun', flush=True); time.sleep(600)")
    processing.wait_for_line(name, "begun")
    processing.stop(name)
    assert processing.status(processing.end(name)) == "Stopped"


def test_endpoint_answers(endpoints: Endpoints, context: ClientContext) -> None:
    name = endpoints.create(endpoints.config(endpoints.variant(UPPER)))
    assert endpoints.settled(name)["EndpointStatus"] == "InService"
    runtime = context.client("sagemaker-runtime")
    for body in (b"text", io.BytesIO(b"text")):
        answer = runtime.invoke_endpoint(EndpointName=name, Body=body, ContentType="text/plain")
        assert answer["Body"].read() == b"TEXT"
        assert answer["ContentType"].startswith("text/plain")
        assert answer["InvokedProductionVariant"] == "AllTraffic"
    endpoints.call("DeleteEndpoint", EndpointName=name)


def test_endpoint_of_a_broken_model_fails(endpoints: Endpoints) -> None:
    name = endpoints.create(endpoints.config(endpoints.variant(f"\n{BROKEN}\n")))
    assert endpoints.settled(name)["EndpointStatus"] == "Failed"


def test_catalog_keeps_tables(context: ClientContext) -> None:
    glue = context.client("glue")
    glue.create_database(DatabaseInput={"Name": "shared"})
    columns = [{"Name": "day", "Type": "date"}]
    glue.create_table(
        DatabaseName="shared",
        TableInput={"Name": "days", "StorageDescriptor": {"Columns": columns}},
    )
    table = glue.get_table(DatabaseName="shared", Name="days")["Table"]
    assert table["StorageDescriptor"]["Columns"] == columns
    with pytest.raises(glue.exceptions.EntityNotFoundException) as missing:
        glue.get_table(DatabaseName="shared", Name="nights")
    assert isinstance(missing.value, ClientError)
