"""Store: records survive, pages add up, lists use an index."""

import base64
import json
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from sagestack.aws.caller import Caller
from sagestack.aws.errors import ValidationException
from sagestack.aws.store import (
    SORT_COLUMNS,
    Key,
    Query,
    Record,
    RecordExists,
    RecordMissing,
    Store,
    decode,
    encode,
)

CALLER = Caller("000000000000", "us-east-1")
START = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store.db")
    yield store
    store.close()


def record(name, *, kind="model", caller=CALLER, parent="", status="", minutes=0, **document):
    return Record(
        Key.of(caller, kind, name, parent),
        caller.arn("sagemaker", f"{kind}/{parent}{name}"),
        {"Name": name, **document},
        status,
        START + timedelta(minutes=minutes),
        START + timedelta(minutes=minutes),
    )


def names(page):
    return [found.key.name for found in page.records]


def all_names(store, query):
    found, page = [], store.list(query)
    found += names(page)
    while page.token:
        page = store.list(Query(**{**vars(query), "token": page.token}))
        found += names(page)
    return found


def in_threads(count, work):
    """Run `work(i)` on `count` threads at once; the exceptions they ended with."""
    errors = []
    barrier = threading.Barrier(count)

    def run(index):
        barrier.wait()
        try:
            work(index)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


# Records


def test_a_record_comes_back_as_it_went_in(store):
    made = record("m", status="InService", Image="i", Times=[START], Body=b"\x00\xff")
    store.create(made)
    assert store.get(made.key) == made
    assert store.by_arn(made.arn) == made


def test_a_name_is_taken_once(store):
    store.create(record("m", Owner="first"))
    with pytest.raises(RecordExists) as caught:
        store.create(record("m", Owner="second"), {"a": "b"})
    assert caught.value.record.document["Owner"] == "first"
    assert store.tags(caught.value.record.arn) == {}


@pytest.mark.parametrize(
    "other",
    [
        record("m", kind="endpoint"),
        record("m", caller=Caller("111111111111", "us-east-1")),
        record("m", caller=Caller("000000000000", "eu-west-1")),
        record("m", parent="database"),
    ],
    ids=["kind", "account", "region", "parent"],
)
def test_kind_account_region_and_parent_are_part_of_the_key(store, other):
    mine = record("m", Mine=True)
    store.create(mine)
    store.create(other)
    store.delete(other.key)
    assert store.get(mine.key) == mine
    assert store.get(other.key) is None


def test_update_changes_document_status_and_modified_time(store):
    made = record("m", status="Creating")
    store.create(made)

    def change(document):
        document["Weight"] = 2
        return "InService"

    changed = store.update(made.key, change)
    assert changed == store.get(made.key)
    assert (changed.status, changed.document["Weight"]) == ("InService", 2)
    assert changed.created == made.created
    assert changed.modified > made.modified


def test_update_without_touch_keeps_the_modified_time(store):
    made = record("m")
    store.create(made)
    assert store.update(made.key, lambda document: None, touch=False).modified == made.modified


def test_an_update_that_raises_changes_nothing(store):
    made = record("m", status="Creating")
    store.create(made)

    def change(document):
        document["Weight"] = 2
        raise RuntimeError

    with pytest.raises(RuntimeError):
        store.update(made.key, change)
    assert store.get(made.key) == made
    store.update(made.key, lambda document: "InService")


def test_update_of_what_is_not_there(store):
    with pytest.raises(RecordMissing):
        store.update(Key.of(CALLER, "model", "m"), lambda document: None)


def test_delete_answers_what_was_there_and_takes_its_tags(store):
    made = record("m")
    store.create(made, {"team": "a"})
    assert store.delete(made.key) == made
    assert store.delete(made.key) is None
    assert store.tags(made.arn) == {}


def test_children_go_with_their_parent(store):
    for parent in ("one", "two"):
        for name in "ab":
            store.create(record(name, kind="table", parent=parent))
    assert store.delete_children(CALLER, "table", "one") == 2
    assert all_names(store, Query("table", CALLER, parent="two", sort_by="Name")) == ["a", "b"]
    assert store.list(Query("table", CALLER, parent="one")).records == []


def test_every_and_count_go_across_accounts(store):
    store.create(record("a", status="InProgress"))
    store.create(record("b", status="InProgress", caller=Caller("111111111111", "eu-west-1")))
    store.create(record("c", status="Failed"))
    assert [found.key.name for found in store.every("model", "InProgress")] == ["a", "b"]
    assert store.count("model") == {"InProgress": 2, "Failed": 1}


def test_tags_are_added_replaced_and_removed(store):
    arn = "arn:aws:sagemaker:us-east-1:000000000000:model/m"
    store.put_tags(arn, {"team": "a", "stage": "dev"})
    store.put_tags(arn, {"team": "b"})
    assert store.tags(arn) == {"stage": "dev", "team": "b"}
    store.delete_tags(arn, ["stage", "unknown"])
    assert store.tags(arn) == {"team": "b"}


def test_documents_keep_times_and_bytes():
    document = {"At": START, "Body": b"\x00", "Deep": [{"At": START}], "Text": "é", "None": None}
    assert decode(encode(document)) == document


def test_what_cannot_be_stored_says_so():
    with pytest.raises(TypeError, match="object cannot be stored"):
        encode({"A": object()})


# Lists


@pytest.mark.parametrize("sort_by", SORT_COLUMNS)
@pytest.mark.parametrize("descending", [False, True])
def test_pages_add_up_in_order(store, sort_by, descending):
    for index in range(25):
        # Five of each time and status: equal values are told apart by age.
        store.create(record(f"m{index:02}", status=str(index % 5), minutes=index // 5))
    query = Query("model", CALLER, sort_by=sort_by, descending=descending, limit=4)
    found = all_names(store, query)
    assert sorted(found) == [f"m{index:02}" for index in range(25)]
    by_age = [f"m{index:02}" for index in range(25)]
    expected = sorted(by_age, key=lambda name: int(name[1:]) % 5) if sort_by == "Status" else by_age
    assert found == (expected[::-1] if descending else expected)


def test_a_page_that_is_just_full_is_the_last(store):
    for index in range(4):
        store.create(record(f"m{index}"))
    assert store.list(Query("model", CALLER, limit=4)).token is None


def test_pages_hold_while_records_come_and_go(store):
    for index in range(6):
        store.create(record(f"m{index}", minutes=index))
    first = store.list(Query("model", CALLER, limit=3))
    store.delete(Key.of(CALLER, "model", "m2"))
    store.create(record("early", minutes=-1))
    second = store.list(Query("model", CALLER, limit=3, token=first.token))
    assert names(second) == ["m3", "m4", "m5"]


def test_filters_and_parents(store):
    store.create(record("a", kind="table", parent="one", status="Old"))
    store.create(record("b", kind="table", parent="two", status="New"))
    everywhere = Query("table", CALLER, parent=None, sort_by="Name")
    assert names(store.list(everywhere)) == ["a", "b"]
    assert names(store.list(everywhere.where("status = ?", "New"))) == ["b"]
    assert names(store.list(Query("table", CALLER, parent="one"))) == ["a"]


def token_of(*content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode()


@pytest.mark.parametrize(
    "token",
    [
        *("nonsense", "", "bm9uc2Vuc2U=", "WzFd", "MQ==", "é"),
        token_of("model", "", "CreationTime", False, [], 1),
        token_of("model", "", "CreationTime", False, 1, {}),
    ],
)
def test_a_token_from_elsewhere_is_refused(store, token):
    with pytest.raises(ValidationException, match="pagination token"):
        store.list(Query("model", CALLER, token=token))


@pytest.mark.parametrize(
    "other",
    [{"sort_by": "Name"}, {"descending": True}, {"kind": "endpoint"}, {"parent": "one"}],
)
def test_a_token_of_another_order_is_refused(store, other):
    for name in ("a", "b"):
        store.create(record(name))
    query = Query("model", CALLER, limit=1)
    token = store.list(query).token
    assert names(store.list(replace(query, token=token))) == ["b"]
    with pytest.raises(ValidationException, match="pagination token"):
        store.list(replace(query, token=token, **other))


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """100,000 models, made in one statement."""
    store = Store(tmp_path_factory.mktemp("large") / "store.db")
    with store._write() as connection:
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 99999)"
            " INSERT INTO records (kind, account, region, parent, name, arn, status, created,"
            " modified, document) SELECT 'model', ?, ?, '', printf('m%06d', i),"
            " 'arn:' || i, i % 3, i, i, '{}' FROM n",
            (CALLER.account, CALLER.region),
        )
    yield store
    store.close()


@pytest.mark.parametrize("sort_by", SORT_COLUMNS)
@pytest.mark.parametrize("descending", [False, True])
def test_every_page_of_a_large_list_is_read_from_an_index(large, sort_by, descending):
    query = Query("model", CALLER, sort_by=sort_by, descending=descending)
    next_page = Query(**{**vars(query), "token": large.list(query).token})
    of_a_status = query.where("status = ?", "1")
    for asked in (query, next_page, of_a_status):
        statements = []
        with large._read() as connection:
            connection.set_trace_callback(statements.append)
        large.list(asked)
        with large._read() as connection:
            connection.set_trace_callback(None)
            rows = connection.execute(f"EXPLAIN QUERY PLAN {statements[0]}").fetchall()
        plan = [row["detail"] for row in rows]
        assert len(plan) == 1, "nothing is sorted after it was read"
        assert plan[0].startswith("SEARCH records USING INDEX")


def test_the_last_page_of_a_large_list_is_as_right_as_the_first(large):
    query = Query("model", CALLER, sort_by="Name", limit=99_990)
    rest = large.list(Query(**{**vars(query), "token": large.list(query).token}))
    assert names(rest) == [f"m{index:06}" for index in range(99_990, 100_000)]
    assert rest.token is None


# Threads and sudden death


def test_threads_create_without_losing_a_record(store):
    def work(index):
        for number in range(20):
            store.create(record(f"m{index}-{number}"), {"thread": str(index)})

    assert in_threads(8, work) == []
    assert len(store.list(Query("model", CALLER, limit=1000)).records) == 160


def test_one_of_many_threads_gets_the_name(store):
    errors = in_threads(8, lambda index: store.create(record("m", Owner=index)))
    assert len(errors) == 7
    assert {type(error) for error in errors} == {RecordExists}
    owner = store.get(Key.of(CALLER, "model", "m")).document["Owner"]
    assert {error.record.document["Owner"] for error in errors} == {owner}


def test_updates_from_threads_do_not_overwrite_each_other(store):
    made = record("m", Count=0)
    store.create(made)

    def add(document):
        document["Count"] += 1

    def work(index):
        for _ in range(25):
            store.update(made.key, add)

    assert in_threads(8, work) == []
    assert store.get(made.key).document["Count"] == 200


def test_a_reader_never_waits_for_the_writer(store):
    made = record("m", Count=0)
    store.create(made)
    seen = []

    def change(document):
        document["Count"] = 1
        reader = threading.Thread(target=lambda: seen.append(store.get(made.key)))
        reader.start()
        reader.join(10)

    store.update(made.key, change)
    assert seen == [made]


CREATE_AND_WAIT = """
import sys, time
from sagestack.aws.caller import Caller
from sagestack.aws.store import Key, Record, Store

store = Store(sys.argv[1])
caller = Caller("000000000000", "us-east-1")
for number in range(1000):
    store.create(Record(Key.of(caller, "model", f"m{number}"), f"arn:{number}", {}), {"a": "b"})
    print(number, flush=True)
"""


def test_what_create_returned_for_survives_sigkill(tmp_path):
    path = tmp_path / "store.db"
    process = subprocess.Popen(
        [sys.executable, "-c", CREATE_AND_WAIT, str(path)], stdout=subprocess.PIPE, text=True
    )
    told = -1
    while told < 50:
        told = int(process.stdout.readline())
    process.kill()
    rest = process.stdout.read().split()
    process.wait()
    told = int(rest[-1]) if rest else told

    store = Store(path)
    kept = store.list(Query("model", CALLER, limit=2000)).records
    assert len(kept) in (told + 1, told + 2), "the one being made may have been written too"
    assert all(store.tags(found.arn) == {"a": "b"} for found in kept)
    store.create(record("after"))
    store.close()


def test_write_that_can_not_be_committed_leaves_nothing_behind(tmp_path):
    class Full(sqlite3.Connection):
        full = True

        def commit(self):
            if Full.full:
                raise sqlite3.OperationalError("database or disk is full")
            super().commit()

    class FullStore(Store):
        def _connect(self):
            connection = sqlite3.connect(
                self.path, isolation_level=None, check_same_thread=False, factory=Full
            )
            connection.row_factory = sqlite3.Row
            return connection

    store = FullStore(tmp_path / "full.db")
    with pytest.raises(sqlite3.OperationalError):
        store.create(record("a"))
    assert store.get(record("a").key) is None
    Full.full = False
    store.create(record("b"))
    assert store.get(record("b").key) is not None
    store.close()


def test_arn_is_one_records_alone(store):
    store.create(record("name"))
    namesake = replace(record("NAME"), arn=record("name").arn)
    with pytest.raises(RecordExists) as taken:
        store.create(namesake)
    assert taken.value.record.key.name == "name"


def test_records_without_an_arn_are_many(store):
    for name in ("a", "b"):
        store.create(replace(record(name), arn=""))
    assert len(store.list(Query("model", CALLER)).records) == 2
