"""The types of partition keys: what the text of a value means, and how it is compared.

A partition's values are text, whatever the type of their key. The types are those that the
API reference of GetPartitions names. The texts of the errors are AWS's, as users have seen
them (aws/aws-sdk issue 670); most are those of Java's parsers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation

TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.(\d{1,9}))?")


@dataclass(frozen=True)
class PartitionType:
    noun: str
    """What AWS calls the type's kind."""
    complaint: str
    """Of a text that is no value of the type, which stands for `{}`."""
    read: Callable[[str], str | int | float]
    """A literal as SQLite compares it. Raises ValueError."""
    sql: str
    """A value as SQLite compares it, which stands for `{0}`."""
    readable: str
    """Whether a value is of the type, in SQL."""

    @property
    def is_text(self) -> bool:
        return self.noun == "String"


def _integer(text: str) -> int:
    value = int(text)
    if not -(2**63) <= value < 2**63:
        raise ValueError(text)
    return value


def _decimal(text: str) -> float:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ValueError(text) from None
    if not value.is_finite():
        raise ValueError(text)
    return float(value)


def _date(text: str) -> str:
    return datetime.strptime(text, "%Y-%m-%d").date().isoformat()


def _timestamp(text: str) -> str:
    """With nine decimals, so that the order of texts is the order of times."""
    match = TIMESTAMP.fullmatch(text)
    if match is None:
        raise ValueError(text)
    datetime.strptime(match[1], "%Y-%m-%d %H:%M:%S")
    return f"{match[1]}.{match[2] or '':0<9}"


STRING = PartitionType("String", "", str, "{0}", "TRUE")
INTEGER = PartitionType(
    "Integral",
    'For input string: "{}" is not an integer.',
    _integer,
    "CAST({0} AS INTEGER)",
    "ltrim({0}, '+-') GLOB '[0-9]*' AND ltrim({0}, '+-') NOT GLOB '*[^0-9]*'",
)
DECIMAL = PartitionType(
    "Decimal",
    "{} is not a decimal.",
    _decimal,
    "CAST({0} AS REAL)",
    "ltrim({0}, '+-') GLOB '[0-9.]*' AND {0} NOT GLOB '*[^0-9.eE+-]*'",
)
DATE = PartitionType(
    "Date",
    "{} is not a date.",
    _date,
    "{0}",
    "{0} GLOB '????-??-??' AND date({0}, '+0 days') IS {0}",
)
TIMESTAMP_TYPE = PartitionType(
    "Timestamp",
    "Timestamp format must be yyyy-mm-dd hh:mm:ss[.fffffffff] {} is not a timestamp.",
    _timestamp,
    "substr({0} || iif(instr({0}, '.'), '', '.') || '000000000', 1, 29)",
    "datetime(substr({0}, 1, 19), '+0 days') IS substr({0}, 1, 19)"
    " AND (length({0}) = 19 OR substr({0}, 20) GLOB '.[0-9]*')",
)
TYPES: Mapping[str, PartitionType] = {
    **dict.fromkeys(("string", "varchar", "char"), STRING),
    **dict.fromkeys(("tinyint", "smallint", "int", "integer", "bigint", "long"), INTEGER),
    "decimal": DECIMAL,
    "date": DATE,
    "timestamp": TIMESTAMP_TYPE,
}


def base_name(type_: str) -> str:
    """`decimal(10,2)` -> `decimal`."""
    return type_.split("(", 1)[0].strip().lower()
