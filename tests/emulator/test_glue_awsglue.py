"""awsglue.utils.getResolvedOptions, and how the error of a run is found."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from sagestack.glue.python_files import AWSGLUE
from sagestack.glue.traceback_reader import TracebackReader

_spec = importlib.util.spec_from_file_location("awsglue_utils", AWSGLUE / "utils.py")
utils = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(utils)
resolve = utils.getResolvedOptions


def test_options_are_resolved_in_both_forms():
    argv = ["script.py", "--JOB_NAME", "etl", "--day=monday", "--other", "x"]
    resolved = resolve(argv, ["JOB_NAME", "day"])
    assert (resolved["JOB_NAME"], resolved["day"]) == ("etl", "monday")
    assert "other" not in resolved


def test_a_value_may_be_empty_negative_or_have_an_equals_sign():
    argv = ["script.py", "--a", "", "--b", "-5", "--c=x=y", "--d", "two words"]
    resolved = resolve(argv, ["a", "b", "c", "d"])
    assert [resolved[name] for name in "abcd"] == ["", "-5", "x=y", "two words"]


def test_reserved_options_are_resolved_unasked():
    resolved = resolve(["s", "--TempDir", "s3://b/t", "--JOB_RUN_ID", "jr_1"], [])
    assert resolved["TempDir"] == "s3://b/t"
    assert resolved["JOB_RUN_ID"] == "jr_1"
    assert resolved["job_bookmark_option"] == "job-bookmark-disable"
    assert resolved["JOB_ID"] is None


def test_a_reserved_option_can_be_asked_for():
    assert resolve(["s", "--TempDir", "s3://b/t"], ["TempDir"])["TempDir"] == "s3://b/t"
    asked = resolve(["s", "--job-bookmark-option", "job-bookmark-enable"], ["job-bookmark-option"])
    assert asked["job_bookmark_option"] == "job-bookmark-enable"


def test_a_missing_option_is_named():
    with pytest.raises(utils.GlueArgumentError, match="required: --day"):
        resolve(["script.py", "--days", "1"], ["day"])


def test_an_option_without_a_value_is_an_error():
    with pytest.raises(utils.GlueArgumentError, match="expected one argument"):
        resolve(["script.py", "--day"], ["day"])


def error_in(script: str) -> str | None:
    """What the reader makes of the stderr of a real interpreter."""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    return _read(ran.stderr)


def _read(stderr: str) -> str | None:
    reader = TracebackReader()
    for line in stderr.splitlines():
        reader.read(line)
    return reader.error


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("raise ValueError('boom')", "ValueError: boom"),
        ("raise ValueError('boom\\n  more')", "ValueError: boom"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("try:\n  1/0\nexcept Exception as e:\n  raise OSError('no') from e", "OSError: no"),
        ("import nothing_there", "ModuleNotFoundError: No module named 'nothing_there'"),
        ("compile('f(', 'f.py', 'exec')", "SyntaxError: '(' was never closed"),
        ("import sys; print('ValueError: x', file=sys.stderr); sys.exit(3)", None),
    ],
)
def test_the_error_is_the_last_line_of_the_last_traceback(script, error):
    assert error_in(script) == error


def test_a_script_that_does_not_compile_has_an_error(tmp_path):
    script = tmp_path / "broken.py"
    script.write_text("print(")
    ran = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert _read(ran.stderr) == "SyntaxError: '(' was never closed"
