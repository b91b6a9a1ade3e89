"""Which handler functions a script may have, and what each is given and may return."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any

import pytest

from sagestack.container.model_server.handlers import HandlerConflict, Handlers, Reply, Request
from tests.emulator.model_server import CONSTANT, failing, serving, write_code

MODEL = "def model_fn(model_dir): return {'dir': model_dir}\n"


def handlers(script: str, loaded: bool = True) -> Handlers:
    module = ModuleType("inference")
    exec(dedent(script), module.__dict__)
    made = Handlers(module, "/opt/ml/model")
    if loaded:
        made.load()
    return made


def ask(
    script: str,
    body: bytes = b"[1]",
    content_type: str = "application/json",
    accept: str = "application/json",
    **headers: str,
) -> Reply:
    return handlers(script).reply(Request(body, content_type, accept, headers))


def test_all_four_run_in_order_with_what_the_one_before_gave() -> None:
    reply = ask(
        """
        def model_fn(model_dir): return model_dir
        def input_fn(body, content_type): return [type(body).__name__, body, content_type]
        def predict_fn(data, model): return [*data, model]
        def output_fn(prediction, accept): return "|".join([*prediction, accept])
        """,
        b"hello",
        "text/csv",
        "text/plain",
    )
    assert reply == Reply(200, b"str|hello|text/csv|/opt/ml/model|text/plain", "text/plain")


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ("def input_fn(body, content_type): return [5]", [5, "model"]),
        ("def predict_fn(data, model): return [data.tolist()]", [[1.0]]),
        ("def output_fn(prediction, accept): return '\"out\"'", "out"),
    ],
)
def test_any_one_of_them_may_be_the_scripts_own(own: str, expected: Any) -> None:
    model = """
class Model:
    def predict(self, data): return [*data, "model"]
def model_fn(model_dir): return Model()
"""
    assert json.loads(ask(model + own).body) == expected


def test_transform_fn_takes_the_place_of_three() -> None:
    reply = ask(
        MODEL
        + "def transform_fn(model, body, content_type, accept):\n"
        + "    return f'{model[\"dir\"]} {body} {content_type}', 'text/html'\n"
    )
    assert reply == Reply(200, b"/opt/ml/model [1] application/json", "text/html")


@pytest.mark.parametrize("other", ["input_fn", "predict_fn", "output_fn"])
def test_transform_fn_beside_one_of_them_is_a_conflict(other: str) -> None:
    script = MODEL + f"def transform_fn(m, b, c, a): return ''\ndef {other}(a, b): return a\n"
    with pytest.raises(HandlerConflict, match="Cannot use transform_fn implementation in conj"):
        handlers(script)


def test_only_json_and_csv_come_as_text() -> None:
    script = MODEL + "def transform_fn(m, body, c, a): return type(body).__name__\n"
    kinds = {
        kind: ask(script, content_type=kind).body.decode()
        for kind in ("application/json", "text/csv", "text/plain", "application/x-npy")
    }
    assert list(kinds.values()) == ["str", "str", "bytes", "bytes"]


@pytest.mark.parametrize(
    ("returned", "body"),
    [
        ("'text'", b"text"),
        ("b'bytes'", b"bytes"),
        ("bytearray(b'array')", b"array"),
        ("memoryview(b'view')", b"view"),
    ],
)
def test_an_answer_may_be_text_or_bytes(returned: str, body: bytes) -> None:
    assert ask(MODEL + f"def transform_fn(m, b, c, a): return {returned}\n").body == body


@pytest.mark.parametrize(("returned", "body"), [("{'a': 1}", b'{"a": 1}'), ("[1, 2]", b"[1, 2]")])
def test_an_object_or_a_list_becomes_json(returned: str, body: bytes) -> None:
    """As with a Flask view. AWS's notebook sklearn_byom returns an object from output_fn."""
    script = MODEL + f"def transform_fn(m, b, c, a): return {returned}\n"
    assert ask(script, accept="text/csv") == Reply(200, body, "application/json")


@pytest.mark.parametrize("returned", ["None", "{1, 2}", "42"])
def test_an_answer_of_another_kind_is_500_and_says_so(returned: str) -> None:
    reply = ask(MODEL + f"def transform_fn(m, b, c, a): return {returned}\n")
    assert reply.status == 500
    assert b"expected str, bytes, dict, list, or a tuple" in reply.body


@pytest.mark.parametrize(
    "exception", ["ValueError('no good')", "SystemExit('no good')", "KeyboardInterrupt('no good')"]
)
def test_what_a_handler_raises_is_the_answer(exception: str) -> None:
    reply = ask(MODEL + f"def predict_fn(data, model): raise {exception}\n")
    assert reply.status == 500
    assert reply.body.startswith(b"no good\nTraceback (most recent call last):")


def test_an_input_fn_may_refuse_a_type_only_by_raising() -> None:
    reply = ask(MODEL + "def input_fn(body, content_type): raise ValueError(content_type)\n")
    assert (reply.status, reply.body.split(b"\n")[0]) == (500, b"application/json")


def test_each_may_take_a_context() -> None:
    reply = ask(
        """
        def model_fn(model_dir, context): return context.system_properties["model_dir"]
        def input_fn(body, content_type, context): return context.get_request_header(0, "X-Id")
        def predict_fn(data, model, context): return [data, model]
        def output_fn(prediction, accept, context): return " ".join(prediction)
        """,
        **{"x-id": "7"},
    )
    assert reply.body == b"7 /opt/ml/model"


def test_before_and_after_the_model_is_loaded() -> None:
    reply = ask(
        """
        steps = []
        def pre_model_fn(model_dir): steps.append("before")
        def model_fn(model_dir): steps.append("load"); return "model"
        def model_warmup_fn(model_dir, model): steps.append(f"warm up {model}")
        def transform_fn(model, body, content_type, accept): return ",".join(steps)
        """
    )
    assert reply.body == b"before,load,warm up model"


def test_there_is_no_default_model_fn() -> None:
    with pytest.raises(NotImplementedError, match="Please provide a model_fn implementation"):
        handlers("def predict_fn(data, model): return data")


def test_a_server_without_a_script_ends_with_awss_words(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    assert "Please provide a model_fn implementation" in failing(tmp_path).log


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("def model_fn(model_dir): raise ValueError('a bad model')", "ValueError: a bad model"),
        ("import nothing_of_this_name", "No module named 'nothing_of_this_name'"),
        ("def model_fn(:", "SyntaxError"),
        ("def transform_fn(): 0\ndef predict_fn(): 0", "Cannot use transform_fn implementation"),
        ("raise SystemExit(0)", "SystemExit"),
    ],
)
def test_a_script_that_can_not_be_loaded_ends_the_server(
    tmp_path: Path, script: str, words: str
) -> None:
    write_code(tmp_path, script)
    assert words in failing(tmp_path).log


def test_a_named_program_that_is_not_there_ends_the_server(tmp_path: Path) -> None:
    write_code(tmp_path, CONSTANT)
    server = failing(tmp_path, SAGEMAKER_PROGRAM="predictor.py")
    assert "No module named 'predictor'" in server.log


def test_execution_parameters(tmp_path: Path) -> None:
    function = "\ndef execution_parameters_fn(): return {'MaxPayloadInMB': 6}\n"
    write_code(tmp_path, CONSTANT + function)
    with serving(tmp_path) as server:
        assert json.loads(server.get("/execution-parameters").data) == {"MaxPayloadInMB": 6}


def test_a_script_does_not_see_the_programs_beside_the_server(tmp_path: Path) -> None:
    write_code(
        tmp_path,
        """
        import importlib.util
        found = [n for n in ("serve", "init", "train") if importlib.util.find_spec(n)]
        def model_fn(model_dir): return found
        def transform_fn(model, body, content_type, accept): return repr(model)
        """,
    )
    with serving(tmp_path) as server:
        assert server.invoke("").data == b"[]"
