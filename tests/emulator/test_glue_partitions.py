"""Partitions, and the expressions that filter them."""

from __future__ import annotations

import time

import pytest

from sagestack.context import Context
from tests.emulator.glue_client import Call, client, error_of
from tests.emulator.jobs import ACCOUNT

TABLE = {"DatabaseName": "lake", "TableName": "flights"}
KEYS = [
    {"Name": "year", "Type": "int"},
    {"Name": "carrier", "Type": "string"},
    {"Name": "day", "Type": "date"},
    {"Name": "at", "Type": "timestamp"},
    {"Name": "price", "Type": "decimal(10,2)"},
]
ROWS = [
    ["9", "AA", "2013-01-31", "2013-01-31 10:00:00", "9.50"],
    ["10", "UA", "2013-02-01", "2013-02-01 10:00:00.5", "10"],
    ["2013", "it's", "2013-12-31", "2013-12-31 23:59:59", "100.25"],
    ["__HIVE_DEFAULT_PARTITION__", "a_c", "2014-01-01", "2014-01-01 00:00:00", "0"],
]

NOT_AN_INTEGER = 'For input string: "{}" is not an integer.'
NOT_A_TIMESTAMP = "Timestamp format must be yyyy-mm-dd hh:mm:ss[.fffffffff] {} is not a timestamp."


@pytest.fixture
def glue(context: Context) -> Call:
    glue = client(context)
    glue("CreateDatabase", DatabaseInput={"Name": "lake"})
    return glue


@pytest.fixture
def flights(glue):
    glue(
        "CreateTable",
        DatabaseName="lake",
        TableInput={"Name": "flights", "PartitionKeys": KEYS[:2]},
    )
    return glue


@pytest.fixture
def typed(glue):
    glue("CreateTable", DatabaseName="lake", TableInput={"Name": "flights", "PartitionKeys": KEYS})
    glue("BatchCreatePartition", **TABLE, PartitionInputList=[{"Values": row} for row in ROWS])
    return glue


@pytest.mark.parametrize(
    ("expression", "rows"),
    [
        ("year = 10", [1]),
        ("YEAR = '10'", [1]),
        ("year <> 10", [0, 2]),
        ("year != 10", [0, 2]),
        ("year < > 10", [0, 2]),
        ("year > 9", [1, 2]),
        ("9 < year", [1, 2]),
        ("year >= 10 and year <= 2012", [1]),
        ("year < 10", [0]),
        ("year in (9, 2013)", [0, 2]),
        ("year not in (9, 2013)", [1]),
        ("year between 9 and 10", [0, 1]),
        ("year not between 9 and 10", [2]),
        ("year is null", [3]),
        ("year is not null", [0, 1, 2]),
        ("carrier = 'AA'", [0]),
        ("carrier = 'aa'", []),
        ("carrier = 'it''s'", [2]),
        ("carrier > 'AA' AND carrier < 'V'", [1]),
        ("carrier like '%A'", [0, 1]),
        ("carrier like '_A'", [0, 1]),
        ("carrier like 'a_c'", [3]),
        ("carrier like '%*%'", []),
        ("carrier not like '%A'", [2, 3]),
        ("`carrier` = 'AA' or \"carrier\" = 'UA'", [0, 1]),
        ("not carrier = 'AA'", [1, 2, 3]),
        ("not (carrier = 'AA' or carrier = 'UA')", [2, 3]),
        ("carrier = 'AA' or carrier = 'UA' and year = 9", [0]),
        ("(carrier = 'AA' or carrier = 'UA') and year = 10", [1]),
        ("((year = 9))", [0]),
        ("(year) in (9, 10)", [0, 1]),
        ("((carrier) NOT IN ('AA', 'UA'))", [2, 3]),
        ("(((year)) = 9 or ((year) = 10 and (carrier) = 'UA'))", [0, 1]),
        ("(carrier = 'it\\'s')", [2]),
        ("day = '2013-02-01'", [1]),
        ("day >= date '2013-02-01' and day < '2014-01-01'", [1, 2]),
        ("at > '2013-02-01 10:00:00'", [1, 2, 3]),
        ("at = timestamp '2013-01-31 10:00:00.0'", [0]),
        ("at = '2013-02-01 10:00:00.500'", [1]),
        ("at > '2013-02-01 10:00:00.499999999' and at < '2013-02-01 10:00:00.500000001'", [1]),
        ("price = 10.0", [1]),
        ("price between 1e1 and 1.1E+1", [1]),
        ("price > 9.5", [1, 2]),
        ("", [0, 1, 2, 3]),
        ("  ", [0, 1, 2, 3]),
    ],
)
def test_an_expression_compares_in_the_type_of_the_key(typed, expression, rows):
    found = typed("GetPartitions", **TABLE, Expression=expression)["Partitions"]
    assert [ROWS.index(partition["Values"]) for partition in found] == rows


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("month = 1", "Invalid partition expression!"),
        ("year = 'x'", 'For input string: "x" is not an integer.'),
        ("year in (9, 2.5)", 'For input string: "2.5" is not an integer.'),
        ("year = 99999999999999999999", NOT_AN_INTEGER.format("99999999999999999999")),
        ("price = 'x'", "x is not a decimal."),
        ("price = 'NaN'", "NaN is not a decimal."),
        ("day = '2013-13-01'", "2013-13-01 is not a date."),
        ("day = '20130131'", "20130131 is not a date."),
        ("at = 'noon'", NOT_A_TIMESTAMP.format("noon")),
        ("at = '2013-01-31'", NOT_A_TIMESTAMP.format("2013-01-31")),
        ("at = '2013-02-30 00:00:00'", NOT_A_TIMESTAMP.format("2013-02-30 00:00:00")),
        ("at = '2013-01-31 00:00:00.'", NOT_A_TIMESTAMP.format("2013-01-31 00:00:00.")),
        ("year =", "Unsupported expression 'year ='"),
        ("year", "Unsupported expression 'year'"),
        ("1 = 1", "Unsupported expression '1 = 1'"),
        ("year = 1 year = 2", "Unsupported expression 'year = 1 year = 2'"),
        ("(year = 1", "Unsupported expression '(year = 1'"),
        ("year = 1; drop table records", "Unsupported expression 'year = 1; drop table records'"),
        ("year like '1%'", "Integral data type doesn't support operation 'LIKE'"),
        ("day like '2013%'", "Date data type doesn't support operation 'LIKE'"),
        ("carrier = 'open", "Unsupported expression 'carrier = 'open'"),
        ("year ( 1", "Unsupported expression 'year ( 1'"),
        ("(year)", "Unsupported expression '(year)'"),
        ("((year) = 1", "Unsupported expression '((year) = 1'"),
        ("(" * 1000 + "year = 1" + ")" * 1000, "The expression is nested too deeply."),
    ],
)
def test_an_expression_that_is_none_is_invalid_input(typed, expression, text):
    error = error_of(typed, "GetPartitions", **TABLE, Expression=expression)
    assert (error.code, error.message) == ("InvalidInputException", text)


def test_the_longest_expression_runs(typed):
    expression = " or ".join(f"year={n}" for n in range(180))
    assert len(typed("GetPartitions", **TABLE, Expression=expression)["Partitions"]) == 2


def test_a_key_of_another_type_can_not_be_filtered(glue):
    keys = [{"Name": "ratio", "Type": "double"}]
    glue("CreateTable", DatabaseName="lake", TableInput={"Name": "flights", "PartitionKeys": keys})
    error = error_of(glue, "GetPartitions", **TABLE, Expression="ratio > 1")
    assert (error.code, error.message) == ("InvalidInputException", "Unknown type : 'double'")


@pytest.mark.parametrize(
    ("column", "value", "literal", "text"),
    [
        (0, "null", "0", NOT_AN_INTEGER.format("null")),
        (0, "1.5", "0", NOT_AN_INTEGER.format("1.5")),
        (2, "2013-02-30", "'2013-01-01'", "2013-02-30 is not a date."),
        (2, "2013", "'2013-01-01'", "2013 is not a date."),
        (3, "2013-01-31", "'2013-01-31 00:00:00'", NOT_A_TIMESTAMP.format("2013-01-31")),
        (4, "cheap", "0", "cheap is not a decimal."),
    ],
)
def test_a_value_that_is_not_of_its_type_is_never_compared(typed, column, value, literal, text):
    values = [*ROWS[0]]
    values[column] = value
    typed("CreatePartition", **TABLE, PartitionInput={"Values": values})
    expression = f"{KEYS[column]['Name']} >= {literal}"
    error = error_of(typed, "GetPartitions", **TABLE, Expression=expression)
    assert (error.code, error.message) == ("InvalidStateException", text)
    others = typed("GetPartitions", **TABLE, Expression="carrier = 'UA'")["Partitions"]
    assert [partition["Values"] for partition in others] == [ROWS[1]]


def test_a_partition_is_answered_as_it_was_created(flights):
    descriptor = {"Location": "s3://b/f/y=1/", "Columns": [{"Name": "a", "Type": "int"}]}
    flights(
        "CreatePartition",
        **TABLE,
        PartitionInput={"Values": ["1", "AA"], "StorageDescriptor": descriptor},
    )
    partition = flights("GetPartition", **TABLE, PartitionValues=["1", "AA"])["Partition"]
    assert partition["DatabaseName"] == "lake"
    assert partition["TableName"] == "flights"
    assert partition["CatalogId"] == ACCOUNT
    assert partition["StorageDescriptor"]["Location"] == "s3://b/f/y=1/"
    assert "CreationTime" in partition
    bare = flights("GetPartitions", **TABLE, ExcludeColumnSchema=True)["Partitions"][0]
    assert "Columns" not in bare["StorageDescriptor"]
    assert bare["StorageDescriptor"]["Location"] == "s3://b/f/y=1/"


def test_every_key_needs_a_value(flights):
    for operation, request in (
        ("CreatePartition", {"PartitionInput": {"Values": ["1"]}}),
        ("CreatePartition", {"PartitionInput": {}}),
        ("GetPartition", {"PartitionValues": ["1", "2", "3"]}),
        ("DeletePartition", {"PartitionValues": []}),
    ):
        error = error_of(flights, operation, **TABLE, **request)
        assert error.code == "InvalidInputException"
        assert "number of partition keys" in error.message


def test_a_partition_exists_once(flights):
    flights("CreatePartition", **TABLE, PartitionInput={"Values": ["1", "AA"]})
    error = error_of(flights, "CreatePartition", **TABLE, PartitionInput={"Values": ["1", "AA"]})
    assert (error.code, error.message) == ("AlreadyExistsException", "Partition already exists.")


def test_a_missing_partition_is_not_found(flights):
    for operation, request in (
        ("GetPartition", {"PartitionValues": ["1", "AA"]}),
        ("DeletePartition", {"PartitionValues": ["1", "AA"]}),
        ("UpdatePartition", {"PartitionValueList": ["1", "AA"], "PartitionInput": {}}),
    ):
        error = error_of(flights, operation, **TABLE, **request)
        assert (error.code, error.message) == ("EntityNotFoundException", "Cannot find partition.")


def test_a_batch_answers_what_failed_beside_what_succeeded(flights):
    wanted = [{"Values": values} for values in (["1", "AA"], ["1", "AA"], ["1"], ["2", "AA"])]
    errors = flights("BatchCreatePartition", **TABLE, PartitionInputList=wanted)["Errors"]
    assert [(e["PartitionValues"], e["ErrorDetail"]["ErrorCode"]) for e in errors] == [
        (["1", "AA"], "AlreadyExistsException"),
        (["1"], "InvalidInputException"),
    ]
    assert len(flights("GetPartitions", **TABLE)["Partitions"]) == 2


def test_partitions_are_read_changed_and_deleted_in_batches(flights):
    for year in ("1", "2", "3"):
        flights("CreatePartition", **TABLE, PartitionInput={"Values": [year, "AA"]})
    some = [{"Values": ["1", "AA"]}, {"Values": ["9", "AA"]}]
    found = flights("BatchGetPartition", **TABLE, PartitionsToGet=some)
    assert [p["Values"] for p in found["Partitions"]] == [["1", "AA"]]
    assert found["UnprocessedKeys"] == []

    entries = [
        {"PartitionValueList": [year, "AA"], "PartitionInput": {"Parameters": {"n": year}}}
        for year in ("2", "9")
    ]
    failed = flights("BatchUpdatePartition", **TABLE, Entries=entries)["Errors"]
    assert [e["PartitionValueList"] for e in failed] == [["9", "AA"]]
    changed = flights("GetPartition", **TABLE, PartitionValues=["2", "AA"])["Partition"]
    assert changed["Parameters"] == {"n": "2"}

    failed = flights("BatchDeletePartition", **TABLE, PartitionsToDelete=some)["Errors"]
    assert [e["PartitionValues"] for e in failed] == [["9", "AA"]]
    assert len(flights("GetPartitions", **TABLE)["Partitions"]) == 2


def test_an_update_can_move_a_partition(flights):
    flights("CreatePartition", **TABLE, PartitionInput={"Values": ["1", "AA"]})
    flights(
        "UpdatePartition",
        **TABLE,
        PartitionValueList=["1", "AA"],
        PartitionInput={"Values": ["2", "AA"]},
    )
    assert [p["Values"] for p in flights("GetPartitions", **TABLE)["Partitions"]] == [["2", "AA"]]


def add_many(glue, count: int) -> None:
    for start in range(0, count, 100):
        wanted = [{"Values": [str(n), "AA"]} for n in range(start, start + 100)]
        glue("BatchCreatePartition", **TABLE, PartitionInputList=wanted)


def test_pages_of_an_expression_are_full_and_end(flights):
    add_many(flights, 300)
    sizes, token = [], {}
    while True:
        page = flights("GetPartitions", **TABLE, Expression="year >= 50", MaxResults=100, **token)
        sizes.append(len(page["Partitions"]))
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert sizes == [100, 100, 50]


def test_an_empty_token_begins_at_the_first_page(flights):
    add_many(flights, 100)
    page = flights("GetPartitions", **TABLE, NextToken="", MaxResults=2)
    assert [partition["Values"][0] for partition in page["Partitions"]] == ["0", "1"]


def test_segments_part_the_partitions(flights):
    add_many(flights, 100)
    found = [
        partition["Values"][0]
        for number in range(3)
        for partition in flights(
            "GetPartitions", **TABLE, Segment={"SegmentNumber": number, "TotalSegments": 3}
        )["Partitions"]
    ]
    assert sorted(found, key=int) == [str(n) for n in range(100)]


def test_a_segment_beyond_the_last_is_invalid_input(flights):
    segment = {"SegmentNumber": 3, "TotalSegments": 3}
    error = error_of(flights, "GetPartitions", **TABLE, Segment=segment)
    assert error.code == "InvalidInputException"


def test_a_filter_over_many_partitions_is_fast(flights):
    add_many(flights, 5000)
    begun = time.thread_time()  # of the processor: others may use it too
    found = flights("GetPartitions", **TABLE, Expression="year between 4000 and 4010")
    assert len(found["Partitions"]) == 11
    assert time.thread_time() - begun < 1
