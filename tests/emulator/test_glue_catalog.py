"""Data Catalog: databases, tables, versions, tags."""

from __future__ import annotations

import pytest

from sagestack.context import Context, Instance
from tests.emulator.glue_client import Call, client, error_of
from tests.emulator.jobs import ACCOUNT, REGION


@pytest.fixture
def glue(context: Context) -> Call:
    return client(context)


@pytest.fixture
def lake(glue: Call) -> Call:
    glue("CreateDatabase", DatabaseInput={"Name": "lake"})
    return glue


def add_table(glue, name: str, database: str = "lake", **members) -> None:
    glue("CreateTable", DatabaseName=database, TableInput={"Name": name, **members})


def test_a_database_is_answered_as_it_was_created(glue):
    glue(
        "CreateDatabase",
        DatabaseInput={"Name": "Lake", "Description": "raw", "Parameters": {"a": "b"}},
    )
    database = glue("GetDatabase", Name="LAKE")["Database"]
    assert database["Name"] == "lake"
    assert database["Description"] == "raw"
    assert database["Parameters"] == {"a": "b"}
    assert database["CatalogId"] == ACCOUNT
    assert database["CreateTime"].tzinfo is not None
    assert database["CreateTableDefaultPermissions"][0]["Permissions"] == ["ALL"]


def test_a_database_name_is_taken_in_any_case(lake):
    error = error_of(lake, "CreateDatabase", DatabaseInput={"Name": "LAKE"})
    assert (error.code, error.message) == ("AlreadyExistsException", "Database already exists.")


def test_a_missing_database_is_named(glue):
    for operation, request in (
        ("GetDatabase", {"Name": "Gone"}),
        ("DeleteDatabase", {"Name": "Gone"}),
        ("UpdateDatabase", {"Name": "Gone", "DatabaseInput": {"Name": "Gone"}}),
        ("GetTables", {"DatabaseName": "Gone"}),
        ("GetTable", {"DatabaseName": "Gone", "Name": "t"}),
        ("CreateTable", {"DatabaseName": "Gone", "TableInput": {"Name": "t"}}),
    ):
        error = error_of(glue, operation, **request)
        assert (error.code, error.message) == (
            "EntityNotFoundException",
            "Database gone not found.",
        )


def test_databases_come_in_pages_by_name(glue):
    for name in ("c", "a", "b"):
        glue("CreateDatabase", DatabaseInput={"Name": name})
    first = glue("GetDatabases", MaxResults=2)
    second = glue("GetDatabases", MaxResults=2, NextToken=first["NextToken"])
    assert [d["Name"] for d in first["DatabaseList"]] == ["a", "b"]
    assert [d["Name"] for d in second["DatabaseList"]] == ["c"]
    assert "NextToken" not in second


def test_a_token_that_is_none_is_invalid_input(glue):
    assert error_of(glue, "GetDatabases", NextToken="nonsense").code == "InvalidInputException"


def test_no_database_is_shared_by_another_account(lake):
    everything = lake("GetDatabases", ResourceShareType="ALL")["DatabaseList"]
    assert [database["Name"] for database in everything] == ["lake"]
    for shared in ("FOREIGN", "FEDERATED"):
        assert lake("GetDatabases", ResourceShareType=shared)["DatabaseList"] == []


def test_an_updated_database_has_only_what_was_given(glue):
    glue("CreateDatabase", DatabaseInput={"Name": "lake", "Description": "old"})
    created = glue("GetDatabase", Name="lake")["Database"]["CreateTime"]
    glue("UpdateDatabase", Name="lake", DatabaseInput={"Name": "lake", "LocationUri": "s3://b/"})
    database = glue("GetDatabase", Name="lake")["Database"]
    assert "Description" not in database
    assert database["LocationUri"] == "s3://b/"
    assert database["CreateTime"] == created


def test_a_deleted_database_takes_its_tables_and_partitions_with_it(lake):
    add_table(lake, "t", PartitionKeys=[{"Name": "y", "Type": "int"}])
    table = {"DatabaseName": "lake", "TableName": "t"}
    lake("CreatePartition", **table, PartitionInput={"Values": ["1"]})
    lake("DeleteDatabase", Name="lake")
    lake("CreateDatabase", DatabaseInput={"Name": "lake"})
    assert lake("GetTables", DatabaseName="lake")["TableList"] == []
    add_table(lake, "t", PartitionKeys=[{"Name": "y", "Type": "int"}])
    assert lake("GetPartitions", **table)["Partitions"] == []
    assert len(lake("GetTableVersions", **table)["TableVersions"]) == 1


def test_catalogs_of_accounts_and_regions_are_apart(instance: Instance, lake):
    assert client(instance.context(ACCOUNT, "ap-south-1"))("GetDatabases")["DatabaseList"] == []
    other = client(instance.context("210987654321", REGION))
    assert other("GetDatabases")["DatabaseList"] == []
    assert other("GetDatabase", Name="lake", CatalogId=ACCOUNT)["Database"]["Name"] == "lake"


def test_a_catalog_that_is_no_account_is_not_found(lake):
    error = error_of(lake, "GetDatabase", Name="lake", CatalogId="s3tablescatalog")
    assert error.code == "EntityNotFoundException"


def test_a_table_is_answered_as_aws_does(lake):
    columns = [{"Name": "a", "Type": "int"}]
    add_table(
        lake,
        "Flights",
        StorageDescriptor={"Columns": columns, "Location": "s3://b/f/"},
        TableType="EXTERNAL_TABLE",
    )
    table = lake("GetTable", DatabaseName="LAKE", Name="FLIGHTS")["Table"]
    assert (table["Name"], table["DatabaseName"], table["VersionId"]) == ("flights", "lake", "0")
    assert table["CatalogId"] == ACCOUNT
    assert table["CreatedBy"] == f"arn:aws:iam::{ACCOUNT}:root"
    assert table["IsRegisteredWithLakeFormation"] is False
    assert table["PartitionKeys"] == []
    assert table["Retention"] == 0
    assert table["CreateTime"] == table["UpdateTime"]
    descriptor = table["StorageDescriptor"]
    assert descriptor["Columns"] == columns
    assert descriptor["Compressed"] is False


def test_table_errors_are_aws_s(lake):
    add_table(lake, "t")
    taken = error_of(add_table, lake, "T")
    assert (taken.code, taken.message) == ("AlreadyExistsException", "Table already exists.")
    for operation in ("GetTable", "DeleteTable"):
        missing = error_of(lake, operation, DatabaseName="lake", Name="gone")
        assert (missing.code, missing.message) == ("EntityNotFoundException", "Entity Not Found")


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("fl*", ["flights", "flowers"]),
        ("*ers", ["flowers"]),
        ("*igh*", ["flights"]),
        ("flights|planes", ["flights", "planes"]),
        ("fl.*", ["flights", "flowers"]),
        ("[a-f]*lights", ["flights"]),
        ("FLIGHTS", ["flights"]),
        ("light", []),
        ("*", ["flights", "flowers", "planes"]),
    ],
)
def test_tables_are_found_by_pattern(lake, expression, names):
    for name in ("flights", "flowers", "planes"):
        add_table(lake, name)
    tables = lake("GetTables", DatabaseName="lake", Expression=expression)["TableList"]
    assert [table["Name"] for table in tables] == names


def test_pages_of_a_pattern_are_full(lake):
    for number in range(10):
        add_table(lake, f"{'odd' if number % 2 else 'even'}{number}")
    found, token = [], {}
    while True:
        page = lake("GetTables", DatabaseName="lake", Expression="odd*", MaxResults=2, **token)
        found.append([table["Name"] for table in page["TableList"]])
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert found == [["odd1", "odd3"], ["odd5", "odd7"], ["odd9"]]


def test_an_invalid_pattern_is_invalid_input(lake):
    error = error_of(lake, "GetTables", DatabaseName="lake", Expression="(")
    assert error.code == "InvalidInputException"


def test_only_the_attributes_asked_for_are_answered(lake):
    add_table(lake, "t", TableType="VIEW")
    page = lake("GetTables", DatabaseName="lake", AttributesToGet=["NAME", "TABLE_TYPE"])
    assert page["TableList"] == [{"Name": "t", "TableType": "VIEW"}]


def update(glue, *, skip_archive: bool = False, **members) -> None:
    glue(
        "UpdateTable",
        DatabaseName="lake",
        TableInput={"Name": "t", **members},
        SkipArchive=skip_archive,
    )


def versions(glue) -> list[tuple[str, str | None]]:
    answer = glue("GetTableVersions", DatabaseName="lake", TableName="t")["TableVersions"]
    return [(v["VersionId"], v["Table"].get("Description")) for v in answer]


def test_an_update_replaces_the_table_and_keeps_the_version_before(lake):
    add_table(lake, "t", Description="zero", Owner="me")
    update(lake, Description="one")
    table = lake("GetTable", DatabaseName="lake", Name="t")["Table"]
    assert (table["VersionId"], table["Description"]) == ("1", "one")
    assert "Owner" not in table
    assert versions(lake) == [("1", "one"), ("0", "zero")]
    old = lake("GetTableVersion", DatabaseName="lake", TableName="t", VersionId="0")
    assert old["TableVersion"]["Table"]["Owner"] == "me"


def test_skip_archive_keeps_no_version(lake):
    add_table(lake, "t", Description="zero")
    update(lake, Description="one", skip_archive=True)
    assert versions(lake) == [("1", "one")]


def test_an_update_of_another_version_is_refused(lake):
    add_table(lake, "t")
    update(lake, Description="one")
    request = {"DatabaseName": "lake", "TableInput": {"Name": "t"}, "VersionId": "0"}
    assert error_of(lake, "UpdateTable", **request).code == "ConcurrentModificationException"
    assert versions(lake) == [("1", "one"), ("0", None)]


def test_a_version_can_be_deleted_but_not_the_current_one(lake):
    add_table(lake, "t")
    update(lake, Description="one")
    request = {"DatabaseName": "lake", "TableName": "t"}
    answer = lake("BatchDeleteTableVersion", **request, VersionIds=["0", "1", "7"])
    assert [error["VersionId"] for error in answer["Errors"]] == ["1", "7"]
    assert versions(lake) == [("1", "one")]


def test_many_tables_are_deleted_and_the_missing_one_is_named(lake):
    add_table(lake, "a")
    add_table(lake, "b")
    answer = lake("BatchDeleteTable", DatabaseName="lake", TablesToDelete=["a", "gone", "B"])
    assert answer["Errors"] == [
        {
            "TableName": "gone",
            "ErrorDetail": {
                "ErrorCode": "EntityNotFoundException",
                "ErrorMessage": "Entity Not Found",
            },
        }
    ]
    assert lake("GetTables", DatabaseName="lake")["TableList"] == []


@pytest.mark.parametrize(
    ("operation", "request_", "member"),
    [
        (
            "CreateTable",
            {
                "DatabaseName": "lake",
                "Name": "t",
                "OpenTableFormatInput": {"IcebergInput": {"MetadataOperation": "CREATE"}},
            },
            "OpenTableFormatInput",
        ),
        (
            "CreateDatabase",
            {"DatabaseInput": {"Name": "x", "TargetDatabase": {"DatabaseName": "y"}}},
            "TargetDatabase",
        ),
    ],
)
def test_what_is_not_emulated_is_refused_by_name(lake, operation, request_, member):
    error = error_of(lake, operation, **request_)
    assert error.code == "InvalidInputException"
    assert member in error.message


def test_a_table_has_no_partition_indexes_and_can_be_given_none(lake):
    add_table(lake, "t")
    found = lake("GetPartitionIndexes", DatabaseName="lake", TableName="t")
    assert found == {"PartitionIndexDescriptorList": []}
    indexes = [{"Keys": ["a"], "IndexName": "by_a"}]
    request = {"TableInput": {"Name": "u"}, "PartitionIndexes": indexes}
    error = error_of(lake, "CreateTable", DatabaseName="lake", **request)
    assert "PartitionIndexes" in error.message


def test_tags_are_put_read_and_taken_away(glue):
    glue("CreateDatabase", DatabaseInput={"Name": "lake"}, Tags={"team": "data"})
    arn = f"arn:aws:glue:{REGION}:{ACCOUNT}:database/lake"
    glue("TagResource", ResourceArn=arn, TagsToAdd={"stage": "raw"})
    assert glue("GetTags", ResourceArn=arn)["Tags"] == {"stage": "raw", "team": "data"}
    glue("UntagResource", ResourceArn=arn, TagsToRemove=["team"])
    assert glue("GetTags", ResourceArn=arn)["Tags"] == {"stage": "raw"}


def test_tags_of_nothing_are_not_found(glue):
    arn = f"arn:aws:glue:{REGION}:{ACCOUNT}:job/gone"
    assert error_of(glue, "GetTags", ResourceArn=arn).code == "EntityNotFoundException"


def test_a_security_configuration_is_stored(glue):
    encryption = {"CloudWatchEncryption": {"CloudWatchEncryptionMode": "SSE-KMS"}}
    glue("CreateSecurityConfiguration", Name="kms", EncryptionConfiguration=encryption)
    found = glue("GetSecurityConfiguration", Name="kms")["SecurityConfiguration"]
    assert found["EncryptionConfiguration"] == encryption
    assert len(glue("GetSecurityConfigurations")["SecurityConfigurations"]) == 1
    glue("DeleteSecurityConfiguration", Name="kms")
    error = error_of(glue, "GetSecurityConfiguration", Name="kms")
    assert error.code == "EntityNotFoundException"
