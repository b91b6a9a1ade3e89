"""A program's end and its output: exit codes, signals, the grace of a stop, lines.

Each claim holds for a program in a process of its own and for one forked from an idle one.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sagestack.engine.container import Cause
from sagestack.engine.output import LONGEST_LINE
from tests.emulator.programs import Program
from tests.waiting import wait_until

Make = Callable[[str], Program]


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("pass", 0),
        ("import sys; sys.exit(7)", 7),
        ("import sys; sys.exit('text')", 1),
        ("raise ValueError", 1),
        ("import os; os._exit(255)", 255),
        ("import os; os.kill(os.getpid(), 9)", 137),
        ("import os; os.kill(os.getpid(), 15)", 143),
        ("import os; os.abort()", 134),
    ],
)
def test_exit_code_is_the_programs_or_128_and_its_signal(
    program: Make, script: str, code: int
) -> None:
    ended = program(script).run()
    assert (ended.code, ended.cause) == (code, Cause.EXITED)


def test_command_that_is_not_there_ends_with_127(tmp_path: Path) -> None:
    here = Program(tmp_path / "ml", "")
    assert here.run(command=("/no/such/program",)).code == 127
    assert here.lines == ["sagestack: exec '/no/such/program': No such file or directory"]


def test_command_that_can_not_be_run_ends_with_126(tmp_path: Path) -> None:
    here = Program(tmp_path / "ml", "")
    assert here.run(command=("/opt/ml/script.py",)).code == 126


def test_stop_lets_the_program_save_its_work(program: Make, tmp_path: Path) -> None:
    here = program("""
        import signal, sys
        def save(*_):
            print("saving", flush=True)
            sys.exit(0)
        signal.signal(signal.SIGTERM, save)
        print("begun", flush=True)
        while True:
            signal.pause()
    """)
    thread = here.begin(grace=30)
    wait_until(lambda: "begun" in here.lines)
    here.control.stop()
    thread.join(30)
    assert not thread.is_alive()
    assert here.lines == ["begun", "saving"], "one signal, and time to act on it"


def test_stop_kills_what_ignores_it_after_the_grace(program: Make) -> None:
    here = program("""
        import signal
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("begun", flush=True)
        while True:
            signal.pause()
    """)
    process = here.start()
    wait_until(lambda: "begun" in here.lines)
    assert process.stop(grace=0.5) == 137


def test_stop_at_once_is_not_lost(program: Make) -> None:
    here = program("import signal; signal.pause()")
    here.control.stop()
    begun = time.monotonic()
    ended = here.run(grace=60)
    assert ended.cause is Cause.STOPPED
    assert time.monotonic() - begun < 30


def test_stop_reaches_the_children_of_a_shell(tmp_path: Path) -> None:
    here = Program(
        tmp_path / "ml",
        """
        import signal, sys, time
        def save(*_):
            time.sleep(0.3)  # longer than the shell, which dies at once
            print("saved", flush=True)
            sys.exit(0)
        signal.signal(signal.SIGTERM, save)
        print("begun", flush=True)
        while True:
            signal.pause()
        """,
    )
    shell = f"{sys.executable} /opt/ml/script.py; exit $?"
    thread = here.begin(command=("/bin/sh", "-c", shell), grace=30)
    wait_until(lambda: "begun" in here.lines)
    here.control.stop()
    thread.join(30)
    assert here.lines == ["begun", "saved"]


def test_stop_does_not_wait_for_what_the_program_left_in_the_background(program: Make) -> None:
    here = program("""
        import signal, subprocess, sys
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"],
                         start_new_session=True)
        print("begun", flush=True)
        signal.pause()
    """)
    process = here.start()
    wait_until(lambda: "begun" in here.lines)
    begun = time.monotonic()
    process.stop(grace=60)
    assert time.monotonic() - begun < 30


def test_time_limit_ends_the_program(program: Make) -> None:
    ended = program("import signal; signal.pause()").run(max_seconds=0.5, grace=30)
    assert ended.cause is Cause.TIMED_OUT
    assert 0.5 <= ended.seconds < 10


def test_stop_before_the_time_limit_is_a_stop(program: Make) -> None:
    here = program("import signal; print('begun', flush=True); signal.pause()")
    ended = []
    process = here.begin(max_seconds=60)
    wait_until(lambda: "begun" in here.lines)
    here.control.stop()
    process.join(10)
    assert ended == []
    assert not process.is_alive()


def test_lines_come_in_order_while_the_program_runs(program: Make) -> None:
    here = program("""
        import os, signal, sys
        for number in range(3):
            print("out", number, flush=True)
            print("err", number, file=sys.stderr, flush=True)
        signal.pause()
    """)
    process = here.start()
    expected = [f"{stream} {number}" for number in range(3) for stream in ("out", "err")]
    wait_until(lambda: here.lines == expected)
    process.kill()
    process.wait()


def test_last_line_needs_no_end(program: Make) -> None:
    here = program("import sys; sys.stdout.write('a\\n\\nb')")
    here.run()
    assert here.lines == ["a", "", "b"]


def test_bytes_that_are_no_text_are_replaced(program: Make) -> None:
    here = program("import os; os.write(1, b'a\\xff\\xfe\\x00b\\n' + 'ü\\n'.encode())")
    here.run()
    assert here.lines == ["a\ufffd\ufffd\x00b", "ü"]


def test_no_line_is_longer_than_a_log_event(program: Make) -> None:
    here = program("print('ü' * 1_000_000); print('x' * 300_000)")
    here.run()
    assert "".join(here.lines) == "ü" * 1_000_000 + "x" * 300_000
    assert max(len(line.encode()) for line in here.lines) <= LONGEST_LINE


def test_character_is_whole_when_it_comes_in_parts(program: Make) -> None:
    here = program("""
        import os, time
        for byte in "€\\n".encode():
            os.write(1, bytes([byte]))
            time.sleep(0.02)
    """)
    here.run()
    assert here.lines == ["€"]


def test_arguments_arrive_as_they_are(program: Make) -> None:
    arguments = ["ünï 💥", "x" * 256, "", "--flag", "$HOME `id` ' \" \\", "a\nb"]
    here = program("import sys, json; print(json.dumps(sys.argv[1:]))")
    command = (sys.executable, "/opt/ml/script.py", *arguments)
    assert here.answer(command=command) == arguments


def test_variables_arrive_as_they_are(program: Make) -> None:
    variables = {"A": "ünï 💥", "B": "", "C": "a=b\nc", "D": "x" * 512}
    here = program("import os, json; print(json.dumps({k: os.environ[k] for k in 'ABCD'}))")
    assert here.answer(variables=variables) == variables


def test_script_may_have_modules_of_our_names(program: Make, tmp_path: Path) -> None:
    here = program("import init, sandbox, train; print(train.mine, init.mine, sandbox.mine)")
    for name in ("init", "sandbox", "train"):
        (tmp_path / "job/ml" / f"{name}.py").write_text(f"mine = {name!r}")
    here.run()
    assert here.lines == ["train init sandbox"]


def test_traceback_begins_with_the_script(program: Make) -> None:
    here = program("def f():\n    raise KeyError('train')\nf()")
    here.run()
    assert here.lines[0] == "Traceback (most recent call last):"
    assert here.lines[1].startswith('  File "/opt/ml/script.py", line 3')
    assert here.lines[-1] == "KeyError: 'train'"
