"""The ETL stack: database, job, script, role."""

from __future__ import annotations

from collections.abc import Callable

from tests.infra.conftest import Template, listed, text

Get = Callable[[str, str], Template]


def test_the_job_is_a_python_shell_with_the_analytics_libraries(template: Get) -> None:
    job = template("local", "etl").only("AWS::Glue::Job")
    assert job["Command"]["Name"] == "pythonshell"
    assert job["Command"]["PythonVersion"] == "3.9"
    assert job["MaxCapacity"] == 1
    assert job["DefaultArguments"]["library-set"] == "analytics"
    assert job["Name"] == "sagestack-local-flights-etl"


def test_the_script_is_an_asset_and_the_arguments_are_those_it_reads(template: Get) -> None:
    job = template("local", "etl").only("AWS::Glue::Job")
    assert "cdk-hnb659fds-assets-" in text(job["Command"]["ScriptLocation"])
    assert text(job["Command"]["ScriptLocation"]).count(".py") == 1
    given = {name[2:] for name in job["DefaultArguments"] if name.startswith("--")}
    assert given == {
        "raw_bucket",
        "raw_prefix",
        "curated_bucket",
        "curated_prefix",
        "quarantine_prefix",
        "database",
        "table",
        "max_rejected",
    }


def test_the_job_reads_raw_and_writes_only_its_own_prefixes(template: Get) -> None:
    writes, reads = set(), set()
    for statement in template("local", "etl").statements():
        resources = {text(resource) for resource in listed(statement["Resource"])}
        if "s3:PutObject" in listed(statement["Action"]):
            writes |= resources
        if "s3:GetObject" in listed(statement["Action"]):
            reads |= resources
    assert all("curated" in resource for resource in writes)
    assert {resource.split("us-east-1")[1][:8] for resource in writes} == {"/flights", "/quarant"}
    assert any("-raw-" in resource and "/raw/*" in resource for resource in reads)
    assert not any("-model-" in resource for resource in reads | writes)


def test_the_catalog_grant_names_one_table(template: Get) -> None:
    [statement] = [
        statement
        for statement in template("local", "etl").statements()
        if "glue:CreateTable" in listed(statement["Action"])
    ]
    assert not any("*" in text(resource) for resource in statement["Resource"])
    assert "table/sagestack_local/flights" in text(statement["Resource"])


def test_only_glue_may_assume_the_role_and_only_for_this_account(template: Get) -> None:
    role = template("local", "etl").only("AWS::IAM::Role")
    [statement] = role["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "glue.amazonaws.com"}
    assert statement["Condition"]["StringEquals"]["aws:SourceAccount"]
    assert "ManagedPolicyArns" not in role


def test_logs_and_bookmarks_are_encrypted_where_there_is_a_key(template: Get) -> None:
    etl = template("prod", "etl")
    encryption = etl.only("AWS::Glue::SecurityConfiguration")["EncryptionConfiguration"]
    assert encryption["CloudWatchEncryption"]["CloudWatchEncryptionMode"] == "SSE-KMS"
    assert "SecurityConfiguration" in etl.only("AWS::Glue::Job")
    assert not template("local", "etl").of_type("AWS::Glue::SecurityConfiguration")


def test_outputs(template: Get) -> None:
    assert template("local", "etl").outputs() == {
        "GlueJobName",
        "GlueDatabaseName",
        "GlueTableName",
        "GlueScriptUri",
    }
