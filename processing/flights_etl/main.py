"""Glue Python-shell job: raw CSV in, labelled Parquet with a catalog table out, bad rows aside.

Arguments (all required, as `getResolvedOptions` wants them):
  --raw_bucket, --raw_prefix                 holds flights/, weather/ and planes/ with CSV files
  --curated_bucket, --curated_prefix         gets year=Y/month=M/*.parquet, partitions overwritten
  --quarantine_prefix                        in the curated bucket: <table>.csv and report.json
  --database, --table                        the catalog entry of the Parquet files
  --max_rejected                             largest share of rows, 0 to 1, that may be bad
The quarantine and its report are written first: they are there when the job fails for them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import logic

ARGUMENTS = [
    "raw_bucket",
    "raw_prefix",
    "curated_bucket",
    "curated_prefix",
    "quarantine_prefix",
    "database",
    "table",
    "max_rejected",
]
TABLES = {
    "flights": (logic.FLIGHTS, logic.FLIGHT_KEY),
    "weather": (logic.WEATHER, logic.WEATHER_KEY),
    "planes": (logic.PLANES, logic.PLANE_KEY),
}


def read_texts(s3: Any, bucket: str, prefix: str) -> list[str]:
    """Text of each CSV object under the prefix, in order of key."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    keys = sorted(item["Key"] for page in pages for item in page.get("Contents", []))
    return [
        s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode("utf-8")
        for key in keys
        if key.endswith(".csv")
    ]


def write_catalog_table(frame: Any, *, path: str, database: str, table: str) -> None:
    """Parquet partitioned by year and month, and its table in the Glue catalog."""
    import awswrangler as wr

    wr.s3.to_parquet(
        frame,
        path=path,
        dataset=True,
        partition_cols=["year", "month"],
        mode="overwrite_partitions",
        database=database,
        table=table,
        dtype=catalog_types(frame),
    )


def catalog_types(frame: Any) -> dict[str, str]:
    """Column types said outright, so that a month full of nulls cannot change the table."""
    names = {"Int64": "bigint", "float64": "double"}
    return {column: names.get(str(frame[column].dtype), "string") for column in frame.columns}


def run(options: dict[str, str], s3: Any, write_table: Callable[..., None]) -> dict[str, Any]:
    """The whole job; returns the report. ValueError when there is nothing to do or too much is bad.

    `write_table` takes the curated frame and the keywords path, database and table.
    """
    rows: dict[str, int] = {}
    checked: dict[str, logic.Checked] = {}
    for name, (columns, key) in TABLES.items():
        texts = read_texts(
            s3, options["raw_bucket"], f"{options['raw_prefix'].rstrip('/')}/{name}/"
        )
        rows[name], checked[name] = logic.load(texts, columns, key)
        print(f"{name}: {len(texts)} files, {rows[name]} rows, {len(checked[name].bad)} bad")

    rejected = {name: logic.count_reasons(part.bad) for name, part in checked.items()}
    report = {
        "rows_in": rows,
        "rows_out": len(checked["flights"].good),
        "rows_quarantined": {name: len(part.bad) for name, part in checked.items()},
        "quarantined_by_reason": rejected,
    }
    _write_quarantine(s3, options, checked, report)
    _refuse_if_hopeless(options, report)

    curated = logic.curate(*(checked[name].good for name in TABLES))
    write_table(
        curated,
        path=f"s3://{options['curated_bucket']}/{options['curated_prefix'].strip('/')}/",
        database=options["database"],
        table=options["table"],
    )
    print(json.dumps(report))
    return report


def _write_quarantine(
    s3: Any, options: dict[str, str], checked: dict[str, logic.Checked], report: dict[str, Any]
) -> None:
    prefix = options["quarantine_prefix"].strip("/")
    bucket = options["curated_bucket"]
    for name, part in checked.items():
        key = f"{prefix}/{name}.csv"
        s3.put_object(Bucket=bucket, Key=key, Body=logic.to_csv(part.bad).encode("utf-8"))
    body = json.dumps(report, indent=2, sort_keys=True).encode("utf-8")
    s3.put_object(Bucket=bucket, Key=f"{prefix}/report.json", Body=body)


def _refuse_if_hopeless(options: dict[str, str], report: dict[str, Any]) -> None:
    where = f"see s3://{options['curated_bucket']}/{options['quarantine_prefix']}/report.json"
    if not report["rows_in"]["flights"]:
        raise ValueError(
            f"no flights under s3://{options['raw_bucket']}/{options['raw_prefix']}/flights/"
        )
    for name, seen in report["rows_in"].items():
        bad = report["rows_quarantined"][name]
        if seen and bad / seen > float(options["max_rejected"]):
            raise ValueError(f"{bad} of {seen} rows of {name} are bad, too many to go on; {where}")


def main() -> None:
    """Entry point under Glue."""
    import boto3
    from awsglue.utils import getResolvedOptions

    run(getResolvedOptions(sys.argv, ARGUMENTS), boto3.client("s3"), write_catalog_table)


if __name__ == "__main__":
    main()
