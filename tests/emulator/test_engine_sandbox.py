"""The sandbox: what a program can see of the machine, change of it, and leave behind.

Each claim holds for a program in a process of its own and for one forked from an idle one.
"""

import json
import os
import socket
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from sagestack.engine.images import Environment
from tests.emulator.programs import HERE, Program
from tests.waiting import wait_until

Make = Callable[[str], Program]
ROOT = Path(__file__).parents[2]
KERNEL = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])


def test_directory_is_opt_ml(program: Make, tmp_path: Path) -> None:
    program("open('/opt/ml/model/m', 'w').write('x')").run()
    assert (tmp_path / "job/ml/model/m").read_text() == "x"


def test_program_is_alone_with_init(program: Make) -> None:
    script = "import os, json; print(json.dumps(sorted(filter(str.isdigit, os.listdir('/proc')))))"
    assert program(script).answer() == ["1", "2"]


def test_home_directories_and_the_projects_are_not_there(program: Make) -> None:
    places = [
        str(ROOT / "README.md"),
        str(ROOT / "tests"),
        str(Path.home() / ".ssh"),
        str(Path.home() / ".aws"),
        "/mnt",
        "/srv",
    ]
    script = f"import os, json; print(json.dumps([p for p in {places} if os.path.exists(p)]))"
    assert program(script).answer() == []


def test_files_of_other_jobs_are_not_there(program: Make, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    script = f"import os, json; print(json.dumps(os.path.exists({str(other)!r})))"
    assert program(script).answer() is False


def test_temporary_directory_and_home_are_the_programs_own(program: Make) -> None:
    with tempfile.NamedTemporaryFile(dir="/tmp") as file:
        script = f"""
            import json, os, pathlib
            pathlib.Path("/tmp/mine").touch()
            pathlib.Path.home().joinpath("mine").touch()
            print(json.dumps(os.path.exists({file.name!r})))
        """
        assert program(script).answer() is False
    assert not os.path.exists("/tmp/mine")


def test_system_directories_cannot_be_written(program: Make) -> None:
    """Also what is mounted below them, such as control groups."""
    script = """
        import json, os
        mounts = [line.split() for line in open("/proc/self/mounts")]
        system = ("/bin", "/sbin", "/usr", "/lib", "/etc", "/sys")
        found = [m[1] for m in mounts if m[1].startswith(system) and os.access(m[1], os.W_OK)]
        print(json.dumps(found))
    """
    assert program(script).answer() == []


def test_of_etc_a_program_sees_what_libraries_look_up(program: Make) -> None:
    look = """
import json, pathlib, pwd, ssl
secret = ("shadow", "gshadow", "ssh", "ssl/private", "sudoers", "machine-id")
seen = [name for name in secret if pathlib.Path("/etc", name).exists()]
looked_up = [pwd.getpwuid(0).pw_name, len(ssl.create_default_context().get_ca_certs())]
print(json.dumps([seen, looked_up]))
"""
    outside = json.loads(subprocess.check_output([sys.executable, "-c", look]))
    assert program(look).answer() == [[], outside[1]]


def test_interpreter_and_our_own_files_cannot_be_written(program: Make) -> None:
    script = """
        import json, os, sys, pathlib
        places = [sys.base_prefix, os.path.dirname(os.__file__)]
        print(json.dumps([place for place in places if os.access(place, os.W_OK)]))
    """
    assert program(script).answer() == []


def test_what_a_program_changes_in_its_image_is_there_for_it_alone(program: Make) -> None:
    """As in the writable layer of a Docker container: pip can install, replace and remove."""
    script = """
        import importlib, json, os, pathlib, shutil, sys, sysconfig
        packages = pathlib.Path(sysconfig.get_path("purelib"))
        (packages / "only_mine.py").write_text("NAME = 'only mine'")
        shutil.rmtree(packages / "botocore")
        importlib.invalidate_caches()
        import only_mine
        print(json.dumps([only_mine.NAME, (packages / "botocore").exists()]))
    """
    assert program(script).answer() == ["only mine", False]
    packages = Path(sysconfig.get_path("purelib"))
    assert not (packages / "only_mine.py").exists()
    assert (packages / "botocore").is_dir()


def test_settings_of_the_kernel_cannot_be_written(program: Make) -> None:
    """As in Docker: /proc/sys and its like are read-only, for root too."""
    script = """
        import json, os
        places = ["sys/kernel/core_pattern", "sys/vm/swappiness", "sysrq-trigger", "irq", "bus"]
        paths = ["/proc/" + place for place in places]
        print(json.dumps([path for path in paths if os.access(path, os.W_OK)]))
    """
    assert program(script).answer() == []


def test_program_has_no_right_to_mount_trace_or_load(program: Make) -> None:
    script = """
        import json
        status = dict(line.rstrip().split(":", 1) for line in open("/proc/self/status"))
        names = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
        print(json.dumps({name: int(status[name], 16) for name in names}))
    """
    kept = sum(1 << number for number in (0, 1, 3, 4, 5, 6, 7, 8, 10, 18, 29, 31))
    sets = program(script).answer()
    assert {name: value & ~kept for name, value in sets.items()} == dict.fromkeys(sets, 0)


def test_program_cannot_reach_the_old_root(program: Make) -> None:
    script = """
        import ctypes, json, os
        libc = ctypes.CDLL(None, use_errno=True)
        done = [libc.umount2(path, 2) for path in (b"/etc", b"/opt/ml", b"/proc", b"/")]
        done.append(libc.mount(b"none", b"/tmp", b"tmpfs", 0, None))
        print(json.dumps([done, os.path.exists("/proc/1/root/work")]))
    """
    assert program(script).answer() == [[-1] * 5, False]


def test_signals_do_not_leave_the_sandbox(program: Make) -> None:
    script = f"""
        import json, os
        try:
            os.kill({os.getpid()}, 0)
        except OSError as error:
            print(json.dumps(type(error).__name__))
    """
    assert program(script).answer() == "ProcessLookupError"


def test_isolated_program_reaches_nobody(program: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        script = f"""
            import json, socket
            def fails(address):
                try:
                    socket.create_connection(address, timeout=5).close()
                except OSError:
                    return True
            print(json.dumps([fails(("127.0.0.1", {port})), fails(("192.0.2.1", 80))]))
        """
        assert program(script).answer(isolate_network=True) == [True, True]


def test_isolated_program_has_a_loopback_of_its_own(program: Make) -> None:
    script = """
        import json, socket
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname()).close()
        print(json.dumps([name for _, name in socket.if_nameindex()]))
    """
    assert program(script).answer(isolate_network=True) == ["lo"]


def test_program_reaches_the_machine_where_it_is_not_isolated(program: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        script = f"import socket; socket.create_connection({server.getsockname()!r})"
        assert program(script).run().code == 0


def test_children_end_with_the_program(program: Make) -> None:
    """Also one that has left its session."""
    here = program("""
        import os, subprocess, sys
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(98765)"],
                         start_new_session=True, stdout=subprocess.DEVNULL)
        print("begun")
    """)
    assert here.run().code == 0
    wait_until(lambda: not running("98765"), what="the child's end")


def test_children_that_hold_the_output_do_not_hold_the_job(program: Make) -> None:
    here = program("""
        import subprocess, sys
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(98764)"])
    """)
    assert here.run().seconds < 10


@pytest.mark.skipif(KERNEL < (6, 14), reason="Linux counts the processes of a sandbox since 6.14")
def test_number_of_processes_and_threads_is_limited(program: Make) -> None:
    here = program("""
        import os, threading
        threading.stack_size(65536)
        begun = 0
        try:
            for begun in range(20_000):
                threading.Thread(target=threading.Event().wait).start()
        except RuntimeError:
            print("refused", flush=True)
            os._exit(3 if begun > 1_000 else 4)
    """)
    assert (here.run().code, here.lines) == (3, ["refused"])


def test_nothing_outlives_the_process_that_started_it(tmp_path: Path) -> None:
    """The server's own death, however it came, ends its programs."""
    driver = f"""
        import sys
        from pathlib import Path
        from sagestack.engine.images import Environment
from tests.emulator.programs import HERE, Program
        here = Program(Path({str(tmp_path / "job/ml")!r}), "import time; time.sleep(98763)")
        here.run()
    """
    server = psutil.Popen([sys.executable, "-c", "\n".join(map(str.strip, driver.splitlines()))])
    wait_until(lambda: running("98763"), what="the program")
    server.kill()
    server.wait()
    wait_until(lambda: not running("98763"), what="the program's end")


def running(mark: str) -> list[int]:
    """Processes of the sandbox with a mark in their command or script."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        command = " ".join(process.info["cmdline"] or ())
        if mark in command:
            found.append(process.info["pid"])
    return found


def test_signal_to_init_does_not_end_the_program(program: Make) -> None:
    script = """
        import os, signal
        for number in range(1, signal.NSIG):
            # SIGTERM is what ends a program, also when it asks for it.
            if number not in (signal.SIGTERM, 32, 33):
                os.kill(1, number)
        print('"goes on"')
    """
    assert program(script).answer() == "goes on"


def test_program_can_interrupt_itself(program: Make) -> None:
    script = """
        import os, signal
        try:
            os.kill(os.getpid(), signal.SIGINT)
            signal.pause()
        except KeyboardInterrupt:
            print('"interrupted"')
    """
    assert program(script).answer() == "interrupted"


def test_environment_may_lie_behind_a_link(tmp_path: Path) -> None:
    link = tmp_path / "environment"
    link.symlink_to(sys.prefix)
    here = Program(tmp_path / "job/ml", "import json, pytest; print(json.dumps('found'))")
    python = link / "bin/python"
    environment = Environment(HERE, python)
    settings = {"environment": environment, "command": (str(python), "/opt/ml/script.py")}
    assert here.answer(**settings) == "found"
