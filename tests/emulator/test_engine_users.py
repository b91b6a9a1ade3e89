"""The sandbox of an ordinary user, and what is left of it where the kernel gives none.

Root runs these as nobody, with the interpreter and the sources bound to where nobody can
read them. Namespaces are refused by the limits of a user namespace, which are its own.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
NOBODY = 65534
PREFIX = Path(sys.base_prefix)
PYTHON = str(PREFIX / f"bin/python3.{sys.version_info.minor}")
LIMITS = ("max_mnt_namespaces", "max_user_namespaces")

Answer = dict[str, Any]
Run = Callable[..., Answer]


class Place:
    """A directory an ordinary user can write to, and how to become one."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.source = ROOT
        self.prefix: list[str] = []

    def become_nobody(self) -> None:
        """In a mount namespace of its own, nobody can read the interpreter and the sources."""
        self.source = self.directory / "source"
        stash = self.directory / "python"
        for path in (self.source, stash):
            path.mkdir()
        self.directory.chmod(0o755)
        shutil.chown(self.directory / "work", NOBODY, NOBODY)
        commands = [f"mount --bind {ROOT} {self.source}"]
        if closed := closed_to_others(PREFIX):
            commands += [
                f"mount --bind {PREFIX} {stash}",
                f"mount -t tmpfs -o mode=755 tmpfs {closed}",
                f"mkdir -p {PREFIX}",
                f"mount --bind {stash} {PREFIX}",
            ]
        become = f"exec setpriv --reuid={NOBODY} --regid={NOBODY} --clear-groups"
        commands.append(f'{become} "$@"')
        self.prefix = ["unshare", "--mount", "sh", "-ec", "\n".join(commands), "sh"]

    def command(self, *arguments: str, namespaces: bool) -> list[str]:
        if namespaces:
            return [*self.prefix, *arguments]
        refuse = [f"echo 0 > /proc/sys/user/{limit}" for limit in LIMITS]
        script = "\n".join([*refuse, f"exec {shlex.join(arguments)}"])
        return [*self.prefix, "unshare", "--user", "--map-root-user", "sh", "-ec", script]


def closed_to_others(path: Path) -> Path | None:
    """The outermost directory on the way that others may not pass."""
    for directory in reversed([path, *path.parents]):
        if not directory.stat().st_mode & 0o001:
            return directory
    return None


@pytest.fixture
def place() -> Iterator[Place]:
    place = Place(Path(tempfile.mkdtemp(prefix="sagestack-test-")))
    (place.directory / "work").mkdir()
    if os.getuid() == 0:
        for tool in ("setpriv", "unshare", "mount"):
            if shutil.which(tool) is None:
                pytest.skip(f"root needs {tool} to become an ordinary user")
        place.become_nobody()
    yield place
    shutil.rmtree(place.directory, ignore_errors=True)


def start(place: Place, script: str, *, namespaces: bool, **order: Any) -> psutil.Popen:
    command = place.command(PYTHON, "-m", "tests.emulator.driver", namespaces=namespaces)
    process = psutil.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd="/",
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(place.source),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    )
    process.stdin.write(
        json.dumps({"directory": str(place.directory / "work"), "script": script, **order})
    )
    process.stdin.close()
    return process


def finish(process: psutil.Popen) -> Answer:
    output = process.stdout.read()
    assert process.wait(30) == 0, output
    answer: Answer = json.loads(output)
    return answer


@pytest.fixture
def run(place: Place) -> Run:
    """Runs a program in an ordinary user's sandbox."""

    def run(script: str, **order: Any) -> Answer:
        answer = finish(start(place, script, namespaces=True, **order))
        if not answer["sandbox"]:
            pytest.skip("this machine lets no ordinary user make namespaces")
        return answer

    return run


@pytest.fixture
def run_without(place: Place) -> Run:
    """Runs a program where namespaces are refused."""

    def run(script: str, **order: Any) -> Answer:
        answer = finish(start(place, script, namespaces=False, **order))
        assert not answer["sandbox"]
        return answer

    return run


def said(answer: Answer) -> Any:
    assert answer.get("code") == 0, answer
    return json.loads(answer["lines"][-1])


def test_ordinary_users_program_has_a_root_of_its_own(run: Run, place: Place) -> None:
    script = f"""
        import json, os
        open("/opt/ml/model/m", "w").close()
        hidden = {[str(ROOT / "README.md"), str(place.directory / "work"), "/home/nobody"]}
        print(json.dumps([os.getuid(), os.getpid(), [p for p in hidden if os.path.exists(p)]]))
    """
    uid, pid, seen = said(run(script))
    assert (uid, pid, seen) == (0, 2, [])
    model = place.directory / "work/job/ml/model/m"
    assert model.stat().st_uid == (os.getuid() or NOBODY)


def test_ordinary_users_program_can_not_write_to_the_system(run: Run) -> None:
    script = """
        import json, os, sys
        mounts = [line.split()[1] for line in open("/proc/self/mounts")]
        ours = ("/opt/ml", "/tmp", "/root", "/dev", "/proc")
        system = [m for m in mounts if m not in ("/", sys.prefix) and not m.startswith(ours)]
        places = [*system, "/proc/sys/kernel"]
        print(json.dumps([p for p in places if os.access(p, os.W_OK)]))
    """
    assert said(run(script)) == []


def test_what_an_ordinary_users_program_changed_in_its_image_can_be_removed(
    run: Run, place: Place
) -> None:
    """The kernel's directory beside an overlay's own has no rights, for its owner neither."""
    said(run("print(1)"))
    for directory in (place.directory / "work/job").glob("ml.image/**/"):
        assert directory.stat().st_mode & 0o700 == 0o700, directory


def test_ordinary_users_isolated_program_reaches_nobody(run: Run) -> None:
    script = "import json, socket; print(json.dumps([n for _, n in socket.if_nameindex()]))"
    assert said(run(script, settings={"isolate_network": True})) == ["lo"]


def test_ordinary_users_isolated_programs_can_have_one_network(run: Run) -> None:
    script = """
        import json, os, socket
        names = [name for _, name in socket.if_nameindex()]
        print(json.dumps([os.readlink("/proc/self/ns/net"), names]))
    """
    answer = run(script, join=True)
    assert said(answer) == [answer["network"], ["lo"]]


def test_ordinary_users_program_closes_no_file_to_the_user(run: Run, place: Place) -> None:
    answer = run(
        """
        import os
        os.makedirs("/opt/ml/model/closed/deep")
        open("/opt/ml/model/closed/file", "w").close()
        os.symlink("/etc/shadow", "/opt/ml/model/link")
        for path in ("closed/file", "closed/deep", "closed"):
            os.chmod(f"/opt/ml/model/{path}", 0)
        print("{}")
        """,
        regain=True,
    )
    assert said(answer) == {}
    closed = place.directory / "work/job/ml/model/closed"
    modes = [path.stat().st_mode & 0o777 for path in (closed, closed / "deep", closed / "file")]
    assert modes == [0o700, 0o700, 0o400]


def test_ordinary_users_program_can_be_stopped(run: Run) -> None:
    script = "import signal; print('begun', flush=True); signal.pause()"
    answer = run(script, stop_at="begun")
    assert (answer["code"], answer["cause"]) == (143, "stopped")


def test_without_namespaces_a_variable_leads_to_the_directory(
    run_without: Run, place: Place
) -> None:
    script = """
        import json, os, sys
        base = os.environ["SAGEMAKER_BASE_DIR"]
        open(base + "/model/m", "w").close()
        print(json.dumps([base, os.environ["MODEL"], sys.argv[1:], os.getcwd()]))
    """
    answer = run_without(
        script,
        settings={
            "command": [
                PYTHON,
                "/opt/ml/script.py",
                "--model",
                "/opt/ml/model",
            ],
            "variables": {"MODEL": "/opt/ml/model"},
        },
    )
    directory = str(place.directory / "work/job/ml")
    model = f"{directory}/model"
    assert said(answer) == [directory, model, ["--model", model], directory]
    assert "this machine refuses namespaces" in answer["lines"][0]
    assert Path(model, "m").exists()


def test_without_namespaces_there_is_no_isolated_network(run_without: Run) -> None:
    answer = run_without("", settings={"isolate_network": True})
    assert answer["fault"].startswith("network isolation needs Linux namespaces")


def test_without_namespaces_children_end_with_the_program(run_without: Run) -> None:
    answer = run_without("""
        import subprocess, sys
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(98762)"],
                         start_new_session=True)
    """)
    assert answer["code"] == 0
    wait_until(lambda: not marked("98762"), what="the child's end")


def test_without_namespaces_a_program_that_kills_its_init_is_not_waited_for(
    run_without: Run,
) -> None:
    answer = run_without("""
        import os, signal, subprocess, sys
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(40)"],
                                 start_new_session=True)
        inner = os.getppid()
        outer = int(open(f"/proc/{inner}/stat").read().rpartition(")")[2].split()[1])
        os.kill(outer, signal.SIGKILL)
        signal.pause()
    """)
    assert answer["code"] == 137


def test_without_namespaces_a_stop_gives_time_to_save(run_without: Run) -> None:
    script = """
        import signal, sys
        def save(*_):
            print("saved", flush=True)
            sys.exit(0)
        signal.signal(signal.SIGTERM, save)
        print("begun", flush=True)
        signal.pause()
    """
    answer = run_without(script, stop_at="begun")
    assert (answer["cause"], answer["lines"][-1]) == ("stopped", "saved")


def test_without_namespaces_what_ignores_a_stop_is_killed(run_without: Run) -> None:
    script = """
        import signal, subprocess, sys
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(98761)"],
                         start_new_session=True)
        print("begun", flush=True)
        while True:
            signal.pause()
    """
    answer = run_without(script, stop_at="begun", grace=0.3)
    assert (answer["code"], answer["lines"][1:]) == (137, ["begun"])
    wait_until(lambda: not marked("98761"), what="the child's end")


def test_without_namespaces_nothing_outlives_the_server(place: Place) -> None:
    process = start(place, "import time; time.sleep(98760)  # mark", namespaces=False)
    script = str(place.directory / "work/job/ml/script.py")
    wait_until(lambda: marked(script), what="the program")
    process.kill()
    process.wait()
    wait_until(lambda: not marked(script), what="the program's end")


def marked(mark: str) -> list[int]:
    """Processes with a mark in their command."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if mark in " ".join(process.info["cmdline"] or ())
    ]
