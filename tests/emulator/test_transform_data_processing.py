"""What a transform job filters, joins and marks. Source: developer guide,
batch-transform-data-processing and model-monitor-data-capture-batch."""

import json
import re
from typing import Any

import pytest

from sagestack.sagemaker.transform_job.json_path import BadPath, JsonPath, MixedRanges, NoMatch
from tests.emulator.endpoints import refused
from tests.emulator.jobs import BUCKET, Members
from tests.emulator.transforms import CSV_LINES, ECHO, JSON, JSON_LINES, SUMS, TransformJobs

DOCUMENT = {"id": 7, "features": [1, 2, 3, 4, 5, 6], "deep": {"a": 1, "b": 2, "c": 3}}
LABELS = """
import json
def model_fn(model_dir): return None
def transform_fn(model, body, content_type, accept):
    lines = [json.dumps({"label": len(json.loads(line))}) for line in body.splitlines()]
    return "\\n".join(lines) + "\\n", accept
"""
"""Answers each JSON line with its length."""
PRETTY = """
import json
def model_fn(model_dir): return None
def transform_fn(model, body, content_type, accept):
    return json.dumps({"got": json.loads(body)}, indent=2), accept
"""
ONE_ANSWER = """
def model_fn(model_dir): return None
def transform_fn(model, body, content_type, accept): return "1", accept
"""
NO_CSV = """
def model_fn(model_dir): return None
def transform_fn(model, body, content_type, accept): return '1,"2', accept
"""


def processing(**members: str) -> Members:
    return {"DataProcessing": members}


# JSONPath


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$", DOCUMENT),
        ("$.id", 7),
        ("$['id']", 7),
        ("$['id','deep']", {"id": 7, "deep": DOCUMENT["deep"]}),
        ("$.deep.['a', 'c']", {"a": 1, "c": 3}),
        ("$.deep.*", [1, 2, 3]),
        ("$.features[0]", 1),
        ("$.features[-1]", 6),
        ("$.features[0,-1]", [1, 6]),
        ("$.features[1:4]", [2, 3, 4, 5]),
        ("$.features[4:]", [5, 6]),
        ("$.features[:1]", [1, 2]),
        ("$.features[-2:]", [5, 6]),
        ("$.features[*]", [1, 2, 3, 4, 5, 6]),
    ],
)
def test_path_leads_to(path: str, value: Any) -> None:
    assert JsonPath(path).select(DOCUMENT) == value


@pytest.mark.parametrize(
    "path", ["$.gone", "$['id','gone']", "$.features[6]", "$.features[0:6]", "$.id[0]", "$.id.x"]
)
def test_path_that_leads_nowhere(path: str) -> None:
    with pytest.raises(NoMatch):
        JsonPath(path).select(DOCUMENT)


@pytest.mark.parametrize("path", ["id", "$..id", "$[", "$.", "$[?(@.x)]", "$['a',1]", "$.a b"])
def test_what_is_no_path(path: str) -> None:
    with pytest.raises(BadPath):
        JsonPath(path)


@pytest.mark.parametrize("path", ["$[0:2,246:]", "$[0,5:]", "$[0:4:2]"])
def test_ranges_are_not_mixed(path: str) -> None:
    with pytest.raises(MixedRanges):
        JsonPath(path)


# CSV


def test_columns_are_kept_from_the_model(transforms: TransformJobs) -> None:
    members = CSV_LINES | processing(InputFilter="$[1:]")
    assert transforms.output("9,1,2\n9,3,4\n", SUMS, **members) == "3\n7\n"


def test_rows_are_joined_with_their_answers(transforms: TransformJobs) -> None:
    members = CSV_LINES | processing(InputFilter="$[1:]", JoinSource="Input")
    assert transforms.output("9,1,2\n8,3,4\n", SUMS, **members) == "9,1,2,3\n8,3,4,7\n"


def test_columns_of_what_is_joined_are_chosen(transforms: TransformJobs) -> None:
    filters = processing(InputFilter="$[1:]", JoinSource="Input", OutputFilter="$[0,-1]")
    assert transforms.output("9,1,2\n8,3,4\n", SUMS, **CSV_LINES, **filters) == "9,3\n8,7\n"


def test_columns_of_an_answer_are_chosen(transforms: TransformJobs) -> None:
    members = CSV_LINES | processing(OutputFilter="$[1:2]")
    assert transforms.output("1,2,3,4\n", ECHO, **members) == "2,3\n"


def test_quoted_cells_stay_one(transforms: TransformJobs) -> None:
    filters = processing(InputFilter="$[1]", JoinSource="Input")
    output = transforms.output('"a, ""b""",1\n', SUMS, **CSV_LINES, **filters)
    assert output == '"a, ""b""",1,1\n'


def test_one_row_at_a_time(transforms: TransformJobs) -> None:
    members = CSV_LINES | processing(JoinSource="Input") | {"BatchStrategy": "SingleRecord"}
    assert transforms.output("1,2\n3,4\n", SUMS, **members) == "1,2,3\n3,4,7\n"


@pytest.mark.parametrize(
    ("script", "filters", "line"),
    [
        (ONE_ANSWER, {"JoinSource": "Input"}, "2 records were sent and 1 came back"),
        (NO_CSV, {"JoinSource": "Input"}, "Failed to parse output from the algorithm as CSV: "),
        (SUMS, {"OutputFilter": "$[3]"}, "index 3 is out of range, there are 1"),
        (SUMS, {"OutputFilter": "$[0:2,4:]"}, "only single range filters of format (eg: [1:5])"),
    ],
)
def test_what_can_not_be_processed_fails_its_object(
    transforms: TransformJobs, script: str, filters: dict[str, str], line: str
) -> None:
    members = CSV_LINES | processing(**filters)
    reason, told = transforms.failed("1,2\n3,4\n", script, **members)
    assert reason == "ClientError: See job logs for more information"
    assert line in told[0]


def test_a_row_that_is_no_csv_fails_its_object(transforms: TransformJobs) -> None:
    _, told = transforms.failed('1,"2\n', SUMS, **CSV_LINES, **processing(InputFilter="$[0]"))
    assert told[0].startswith("Failed to parse input as CSV: ")


# JSON


def test_an_answer_stands_in_the_object_it_was_given_for(transforms: TransformJobs) -> None:
    filters = processing(InputFilter="$.x", JoinSource="Input")
    output = transforms.output(
        '{"id":1,"x":[1,2]}\n{"id":2,"x":[]}\n', LABELS, **JSON_LINES, **filters
    )
    assert [json.loads(line) for line in output.splitlines()] == [
        {"id": 1, "x": [1, 2], "SageMakerOutput": {"label": 2}},
        {"id": 2, "x": [], "SageMakerOutput": {"label": 0}},
    ]


def test_what_is_no_object_becomes_one(transforms: TransformJobs) -> None:
    members = JSON_LINES | processing(JoinSource="Input")
    output = transforms.output("[1,2]\n", LABELS, **members)
    assert json.loads(output) == {"SageMakerInput": [1, 2], "SageMakerOutput": {"label": 2}}


def test_attributes_of_what_is_joined_are_chosen(transforms: TransformJobs) -> None:
    filters = processing(
        InputFilter="$.x", JoinSource="Input", OutputFilter="$['id','SageMakerOutput']"
    )
    output = transforms.output('{"id":1,"x":[1,2]}\n', LABELS, **JSON_LINES, **filters)
    assert output == '{"id":1,"SageMakerOutput":{"label":2}}\n'


def test_a_whole_document_is_joined(transforms: TransformJobs) -> None:
    filters = processing(InputFilter="$.x", JoinSource="Input")
    output = transforms.output('{\n "x": "ö"\n}', PRETTY, **JSON, **filters)
    assert output == '{"x":"ö","SageMakerOutput":{"got":"ö"}}'


def test_a_record_without_the_attribute_fails_its_object(transforms: TransformJobs) -> None:
    _, told = transforms.failed("{}\n", LABELS, **JSON_LINES, **processing(InputFilter="$.x"))
    assert told == ["Failed to apply the JsonPath $.x: there is no attribute 'x'"]


# Capture


def test_manifests_say_what_was_transformed_and_where_it_went(transforms: TransformJobs) -> None:
    for name, row in (("a.csv", "1"), ("b.csv", "x"), ("c/d.csv", "2")):
        transforms.put(f"in/{name}", row)
    capture = {"DestinationS3Uri": f"s3://{BUCKET}/captured"}
    client = {"InvocationsMaxRetries": 0}
    job = transforms.run(SUMS, **CSV_LINES, DataCaptureConfig=capture, ModelClientConfig=client)
    hour = job["TransformStartTime"].strftime("%Y/%m/%d/%H")
    manifests = {key.split("/")[1]: key for key in transforms.keys("captured/")}
    assert all(key.split("/", 2)[2].startswith(f"{hour}/") for key in manifests.values())
    assert {kind: json.loads(transforms.get(key)) for kind, key in manifests.items()} == {
        "input": [{"prefix": "s3://lake/in/"}, "a.csv", "c/d.csv"],
        "output": [
            {"prefix": f"s3://lake/out/{job['TransformJobName']}/"},
            "a.csv.out",
            "c/d.csv.out",
        ],
    }


ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
WITH_ID = {"DataCaptureConfig": {"DestinationS3Uri": "s3://lake/c", "GenerateInferenceId": True}}


def test_rows_are_marked_with_an_inference_id(transforms: TransformJobs) -> None:
    first, second = transforms.output("1,2\n3,4\n", SUMS, **CSV_LINES, **WITH_ID).splitlines()
    assert re.fullmatch(rf"3,{ID},{TIME}", first)
    assert re.fullmatch(rf"7,{ID},{TIME}", second)


def test_json_lines_are_marked_with_an_inference_id(transforms: TransformJobs) -> None:
    output = json.loads(transforms.output("[1]\n", LABELS, **JSON_LINES, **WITH_ID))
    assert output["label"] == 1
    assert re.fullmatch(ID, output["SageMakerInferenceId"])
    assert re.fullmatch(TIME, output["SageMakerInferenceTime"])


# Refused


@pytest.mark.parametrize(
    ("members", "text"),
    [
        (
            JSON_LINES | processing(OutputFilter="$['account_id','SageMakerOutput']"),
            "Invalid OutputFilter: \"$['account_id','SageMakerOutput']\". Unexpected \"_\" in "
            "JsonPath. Supported operators for \"application/jsonlines\" are ['$', '[', ']', '*', "
            "'.', ' ', ',', ':', '-', ''']",
        ),
        (CSV_LINES | processing(InputFilter="$.x"), 'Unexpected "." in JsonPath'),
        (CSV_LINES | processing(InputFilter="$["), "Invalid InputFilter"),
        (processing(InputFilter="$[0]"), "requires a ContentType of text/csv"),
        (
            {"source": CSV_LINES["source"], **processing(JoinSource="Input")},
            "ContentType and Accept are the same",
        ),
        (
            {
                "source": CSV_LINES["source"],
                "target": {"Accept": "text/csv"},
                **processing(JoinSource="Input"),
            },
            "SplitType and AssembleWith are the same",
        ),
        (
            {"source": {"ContentType": "text/csv"}, **processing(InputFilter="$[0]")},
            "DataProcessing of text/csv does not support SplitType None",
        ),
        (WITH_ID, "GenerateInferenceId requires an Accept of"),
    ],
)
def test_requests_that_are_refused(transforms: TransformJobs, members: dict, text: str) -> None:
    assert text in refused(transforms.create, ECHO, **members).message
