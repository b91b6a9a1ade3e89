"""The store: one SQLite file that holds every record and tag of an instance.

A record is an AWS resource: its key, its ARN, what lists sort and filter by, and a
document with the members that Describe answers. Keys hold account, region and, for kinds
that live inside another (a table in a database), the parent's name.

Lists page by keyset: a token names the last row seen, so page n costs what page 1 does.
SQLite runs in WAL mode: readers never wait for the one writer. A write that returned
survives the death of the process.
"""

from __future__ import annotations

import base64
import contextlib
import json
import queue
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sagestack.aws.caller import Caller
from sagestack.aws.document import Document, decode, encode
from sagestack.aws.errors import ValidationException

SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL, account TEXT NOT NULL, region TEXT NOT NULL,
    parent TEXT NOT NULL, name TEXT NOT NULL,
    arn TEXT NOT NULL, status TEXT NOT NULL, created REAL NOT NULL, modified REAL NOT NULL,
    document TEXT NOT NULL,
    UNIQUE (kind, account, region, parent, name)
);
CREATE INDEX IF NOT EXISTS by_created ON records (kind, account, region, parent, created, id);
CREATE INDEX IF NOT EXISTS by_modified ON records (kind, account, region, parent, modified, id);
CREATE INDEX IF NOT EXISTS by_status
    ON records (kind, account, region, parent, status, created, id);
CREATE INDEX IF NOT EXISTS in_order_of_status
    ON records (kind, account, region, parent, status, id);
CREATE INDEX IF NOT EXISTS by_arn ON records (arn);
CREATE TABLE IF NOT EXISTS tags (
    arn TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (arn, key)
) WITHOUT ROWID;
"""

SORT_COLUMNS = {
    "Name": "name",
    "CreationTime": "created",
    "LastModifiedTime": "modified",
    "Status": "status",
}


@dataclass(frozen=True)
class Key:
    """What makes a record unique. `parent` is empty for kinds that stand alone."""

    kind: str
    account: str
    region: str
    name: str
    parent: str = ""

    @classmethod
    def of(cls, caller: Caller, kind: str, name: str, parent: str = "") -> Key:
        return cls(kind, caller.account, caller.region, name, parent)


@dataclass(frozen=True)
class Record:
    """A resource as it is stored. Times are aware datetimes in UTC."""

    key: Key
    arn: str
    document: Document
    status: str = ""
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    modified: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass(frozen=True)
class Query:
    """A page of a list. `filters` are SQL conditions made by the methods below."""

    kind: str
    caller: Caller
    parent: str | None = ""
    """None lists across parents."""
    sort_by: str = "CreationTime"
    descending: bool = False
    limit: int = 100
    token: str | None = None
    filters: tuple[tuple[str, tuple[Any, ...]], ...] = ()

    def where(self, condition: str, *values: Any) -> Query:
        return replace(self, filters=(*self.filters, (condition, values)))


@dataclass(frozen=True)
class Page:
    records: list[Record]
    token: str | None


class RecordExists(Exception):
    """`create` found the key taken. `record` is what is there."""

    def __init__(self, record: Record) -> None:
        super().__init__(record.arn)
        self.record = record


class RecordMissing(Exception):
    """`update` found no record under the key."""


class Store:
    """Every method is safe to call from any thread."""

    def __init__(self, path: Path | str) -> None:
        self.path = str(path)
        self._idle: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
        with self._read() as connection:
            connection.executescript(SCHEMA)

    def create(self, record: Record, tags: Mapping[str, str] | None = None) -> None:
        """Add a record and its tags at once. Raises RecordExists, also where its ARN is taken:
        names that differ in case alone may have the same."""
        row = (*_key_values(record.key), record.arn, record.status, *_times(record))
        with self._write() as connection:
            taken = self._select(connection, record.key) or self._namesake(connection, record)
            if taken is not None:
                raise RecordExists(taken)
            connection.execute(
                "INSERT INTO records (kind, account, region, parent, name, arn, status,"
                " created, modified, document) VALUES (?,?,?,?,?,?,?,?,?,?)",
                (*row, encode(record.document)),
            )
            _put_tags(connection, record.arn, tags or {})

    def get(self, key: Key) -> Record | None:
        with self._read() as connection:
            return self._select(connection, key)

    def by_arn(self, arn: str) -> Record | None:
        with self._read() as connection:
            row = connection.execute("SELECT * FROM records WHERE arn = ?", (arn,)).fetchone()
        return _record(row) if row else None

    def update(
        self, key: Key, change: Callable[[Document], str | None], *, touch: bool = True
    ) -> Record:
        """Change a record's document in place, in one transaction.

        `change` edits the document it is given and returns the new status, or None to keep
        it. What it raises leaves the record as it was. `touch` moves the modified time.
        Raises RecordMissing.
        """
        with self._write() as connection:
            record = self._select(connection, key)
            if record is None:
                raise RecordMissing(key)
            status = change(record.document)
            record = replace(
                record,
                status=record.status if status is None else status,
                modified=datetime.now(UTC) if touch else record.modified,
            )
            connection.execute(
                "UPDATE records SET status = ?, modified = ?, document = ? WHERE kind = ? AND"
                " account = ? AND region = ? AND parent = ? AND name = ?",
                (
                    record.status,
                    record.modified.timestamp(),
                    encode(record.document),
                    *_key_values(key),
                ),
            )
            return record

    def delete(self, key: Key) -> Record | None:
        """Remove a record and its tags; answer what was there."""
        with self._write() as connection:
            record = self._select(connection, key)
            if record is not None:
                connection.execute(
                    "DELETE FROM records WHERE kind = ? AND account = ? AND region = ?"
                    " AND parent = ? AND name = ?",
                    _key_values(key),
                )
                connection.execute("DELETE FROM tags WHERE arn = ?", (record.arn,))
            return record

    def delete_children(self, caller: Caller, kind: str, parent: str) -> int:
        """Remove every record of a kind below a parent; answer how many there were."""
        with self._write() as connection:
            return connection.execute(
                "DELETE FROM records WHERE kind = ? AND account = ? AND region = ? AND parent = ?",
                (kind, caller.account, caller.region, parent),
            ).rowcount

    def list(self, query: Query) -> Page:
        """One page. Raises ValidationException for a token this store did not make."""
        column = SORT_COLUMNS[query.sort_by]
        sql = ["SELECT * FROM records WHERE kind = ? AND account = ? AND region = ?"]
        values: list[Any] = [query.kind, query.caller.account, query.caller.region]
        if query.parent is not None:
            sql.append("AND parent = ?")
            values.append(query.parent)
        for condition, arguments in query.filters:
            sql.append(f"AND {condition}")
            values.extend(arguments)
        if query.token is not None:
            sql.append(f"AND ({column}, id) {'<' if query.descending else '>'} (?, ?)")
            values.extend(_read_token(query))
        order = "DESC" if query.descending else "ASC"
        sql.append(f"ORDER BY {column} {order}, id {order} LIMIT ?")
        with self._read() as connection:
            rows = connection.execute(" ".join(sql), (*values, query.limit + 1)).fetchall()
        token = None
        if len(rows) > query.limit:
            rows = rows[: query.limit]
            token = _write_token(query, rows[-1][column], rows[-1]["id"])
        return Page([_record(row) for row in rows], token)

    def every(self, kind: str, *statuses: str) -> Sequence[Record]:
        """All records of a kind, in every account and region, in one of the statuses."""
        marks = ",".join("?" * len(statuses))
        with self._read() as connection:
            rows = connection.execute(
                f"SELECT * FROM records WHERE kind = ? AND status IN ({marks}) ORDER BY id",
                (kind, *statuses),
            ).fetchall()
        return [_record(row) for row in rows]

    def count(self, kind: str) -> dict[str, int]:
        """How many records of a kind there are, by status."""
        with self._read() as connection:
            rows = connection.execute(
                "SELECT status, COUNT(*) FROM records WHERE kind = ? GROUP BY status", (kind,)
            ).fetchall()
        return {row[0]: row[1] for row in rows}

    def tags(self, arn: str) -> dict[str, str]:
        with self._read() as connection:
            rows = connection.execute(
                "SELECT key, value FROM tags WHERE arn = ? ORDER BY key", (arn,)
            ).fetchall()
        return {row["key"]: row["value"] for row in rows}

    def put_tags(self, arn: str, tags: Mapping[str, str]) -> None:
        with self._write() as connection:
            _put_tags(connection, arn, tags)

    def delete_tags(self, arn: str, keys: Iterable[str]) -> None:
        with self._write() as connection:
            connection.executemany(
                "DELETE FROM tags WHERE arn = ? AND key = ?", [(arn, key) for key in keys]
            )

    def close(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._idle.get_nowait().close()

    @contextmanager
    def _read(self) -> Iterator[sqlite3.Connection]:
        """A connection for the length of a block. Threads come and go with jobs, so
        connections are lent from a pool and not kept by thread."""
        try:
            connection = self._idle.get_nowait()
        except queue.Empty:
            connection = self._connect()
        try:
            yield connection
        finally:
            self._idle.put(connection)

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._read() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.commit()
            except BaseException:
                connection.rollback()
                raise

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, isolation_level=None, timeout=60, check_same_thread=False
        )
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    @staticmethod
    def _select(connection: sqlite3.Connection, key: Key) -> Record | None:
        row = connection.execute(
            "SELECT * FROM records WHERE kind = ? AND account = ? AND region = ?"
            " AND parent = ? AND name = ?",
            _key_values(key),
        ).fetchone()
        return _record(row) if row else None

    @staticmethod
    def _namesake(connection: sqlite3.Connection, record: Record) -> Record | None:
        """One of the kind that has the ARN of a record, where that has one."""
        row = connection.execute(
            "SELECT * FROM records WHERE arn = ? AND arn <> '' AND kind = ? AND account = ?"
            " AND region = ? AND parent = ?",
            (record.arn, *_key_values(record.key)[:-1]),
        ).fetchone()
        return _record(row) if row else None


def _key_values(key: Key) -> tuple[str, str, str, str, str]:
    return key.kind, key.account, key.region, key.parent, key.name


def _times(record: Record) -> tuple[float, float]:
    return record.created.timestamp(), record.modified.timestamp()


def _put_tags(connection: sqlite3.Connection, arn: str, tags: Mapping[str, str]) -> None:
    connection.executemany(
        "INSERT INTO tags (arn, key, value) VALUES (?, ?, ?)"
        " ON CONFLICT (arn, key) DO UPDATE SET value = excluded.value",
        [(arn, key, value) for key, value in tags.items()],
    )


def _record(row: sqlite3.Row) -> Record:
    return Record(
        key=Key(row["kind"], row["account"], row["region"], row["name"], row["parent"]),
        arn=row["arn"],
        status=row["status"],
        created=datetime.fromtimestamp(row["created"], UTC),
        modified=datetime.fromtimestamp(row["modified"], UTC),
        document=decode(row["document"]),
    )


def _write_token(query: Query, value: Any, row_id: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([*_order(query), value, row_id]).encode()).decode()


def _read_token(query: Query) -> tuple[Any, int]:
    """Where a page begins. Raises ValidationException for a token of another list or order."""
    assert query.token is not None
    try:
        *order, value, row_id = json.loads(base64.urlsafe_b64decode(query.token.encode()))
    except (TypeError, ValueError):
        raise ValidationException("The pagination token is invalid.") from None
    if (
        order != _order(query)
        or not isinstance(value, str | int | float)
        or not isinstance(row_id, int)
    ):
        raise ValidationException("The pagination token is invalid.")
    return value, row_id


def _order(query: Query) -> list[Any]:
    """What a token is bound to: in another order its place means nothing."""
    return [query.kind, query.parent, query.sort_by, query.descending]
