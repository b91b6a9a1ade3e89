"""sandbox: namespaces and a root of its own for one program. Linux only.

The program sees the system's directories read-only, of /etc what libraries look up, its
image, its own /opt/ml, /tmp and home, and nothing else of the machine. It is root there, with
the rights that Docker gives less two. Made by root, or by an ordinary user where the kernel
lets one make namespaces.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import socket
import struct
from typing import Any

Plan = dict[str, Any]

PR_CAPBSET_DROP = 24
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND = 1, 2, 4, 8, 32, 4096
MS_REC, MS_PRIVATE = 16384, 1 << 18
MNT_DETACH = 2
MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE, MOUNT_ATTR_RDONLY = 442, -100, 0x8000, 1
CAPABILITY_VERSION = 0x20080522
SYSTEM = ("bin", "sbin", "usr", "lib", "lib32", "lib64", "libx32", "nix", "sys")
# What libraries and pip look up. The rest of /etc is the machine's own: passwords, keys.
ETC = (
    *("group", "passwd", "nsswitch.conf", "localtime", "timezone", "os-release", "mime.types"),
    *("hosts", "host.conf", "resolv.conf", "gai.conf", "networks", "protocols", "services"),
    *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "static", "locale.alias"),
    *("ssl/certs", "ssl/cert.pem", "ssl/openssl.cnf", "ca-certificates", "crypto-policies"),
    *("pki/tls/certs", "pki/tls/cert.pem", "pki/tls/openssl.cnf", "pki/ca-trust"),
    *("pip.conf", "xdg/pip", "uv", "fonts", "terminfo", "magic"),
)
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
# What root could change the machine by, also without capabilities. Docker protects the same.
KERNEL_SETTINGS = ("sys", "sysrq-trigger", "irq", "bus", "fs")
# Docker's defaults less NET_RAW and MKNOD: chown, dac_override, fowner, fsetid, kill, setgid,
# setuid, setpcap, net_bind_service, sys_chroot, audit_write, setfcap.
KEPT_CAPABILITIES = {0, 1, 3, 4, 5, 6, 7, 8, 10, 18, 29, 31}
MOST_PROCESSES = 4096
"""Processes and threads at once, where the kernel counts them by sandbox."""

libc = ctypes.CDLL(None, use_errno=True)


def unshare(*, isolate_network: bool, network_of: int | None = None) -> None:
    """Namespaces of our own: by root's right, or else by those of a new user namespace. An
    isolated network is our own too, or the one of the process `network_of`."""
    flags = os.CLONE_NEWNS | os.CLONE_NEWPID | os.CLONE_NEWIPC | os.CLONE_NEWUTS
    if network_of is not None:
        join_network(network_of)
        os.unshare(flags)
        return
    if isolate_network:
        flags |= os.CLONE_NEWNET
    try:
        os.unshare(flags)
    except PermissionError:
        try_out(flags)
        enter_user_namespace(flags)
    if isolate_network:
        raise_loopback()


def join_network(holder: int) -> None:
    """Enter the network namespace of a process of ours, by way of the user namespace that
    gave it the right to make one."""
    with open(f"/proc/{holder}/ns/user") as user, open(f"/proc/{holder}/ns/net") as network:
        if not os.path.samefile(user.fileno(), "/proc/self/ns/user"):
            os.setns(user.fileno(), os.CLONE_NEWUSER)
        os.setns(network.fileno(), os.CLONE_NEWNET)


def try_out(flags: int) -> None:
    """Some systems give an ordinary user namespaces with no rights in them. A fork finds out,
    since there is no way back."""
    trial = os.fork()
    if trial == 0:
        try:
            enter_user_namespace(flags)
            mount(None, "/", None, MS_REC | MS_PRIVATE)
        except OSError as error:
            os._exit(error.errno or 1)
        os._exit(0)
    _, status = os.waitpid(trial, 0)
    if number := os.waitstatus_to_exitcode(status):
        raise OSError(number, os.strerror(number))


def enter_user_namespace(flags: int) -> None:
    """Become root of a user namespace that has one user, us."""
    uid, gid = os.getuid(), os.getgid()
    os.unshare(flags | os.CLONE_NEWUSER)
    write("/proc/self/setgroups", "deny")
    write("/proc/self/uid_map", f"0 {uid} 1")
    write("/proc/self/gid_map", f"0 {gid} 1")


def make_root(plan: Plan) -> None:
    """Build the program's root in a tmpfs and make it ours."""
    directory = plan["directory"]
    root = f"{directory}.rootfs"
    os.makedirs(root, exist_ok=True)
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    mount("tmpfs", root, "tmpfs", MS_NOSUID | MS_NODEV, "size=64m,mode=755")
    for name in SYSTEM:
        bring_system_directory(root, name)
    bring_etc(root)
    make_devices(root)
    for name in ("proc", "var/tmp", "run", "home", "opt"):
        os.makedirs(f"{root}/{name}", exist_ok=True)
    for name, outside in (("tmp", f"{directory}.tmp"), ("root", f"{directory}.home")):
        os.makedirs(outside, exist_ok=True)
        os.makedirs(f"{root}/{name}", exist_ok=True)
        bind(outside, f"{root}/{name}")
    if os.path.isdir("/run/systemd/resolve"):
        show(root, "/run/systemd/resolve")  # where /etc/resolv.conf may lead
    for path in plan["visible"]:
        show(root, path)
    if plan["image"].split("/")[1] not in SYSTEM:
        make_writable(f"{root}{plan['image']}", f"{directory}.image")
    for inside, outside in plan["folders"].items():
        os.makedirs(f"{root}{inside}", exist_ok=True)
        bind(outside, f"{root}{inside}", read_only=True)
    os.makedirs(f"{root}/opt/ml", exist_ok=True)
    bind(directory, f"{root}/opt/ml")
    if plan["read_only_model"]:
        bind(f"{directory}/model", f"{root}/opt/ml/model", read_only=True)
    for wanted in plan["mounts"]:
        mount_fuse(f"{root}{wanted['path']}", wanted["socket"])
    name_hosts(root, directory, plan["host_names"], plan["addresses"])
    make_proc(root)
    enter(root)
    for capability in range(64):
        if capability not in KEPT_CAPABILITIES:
            libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)


def bring_system_directory(root: str, name: str) -> None:
    source, target = f"/{name}", f"{root}/{name}"
    if os.path.islink(source):
        os.symlink(os.readlink(source), target)
    elif os.path.isdir(source):
        os.makedirs(target)
        bind(source, target, read_only=True)


def bring_etc(root: str) -> None:
    os.makedirs(f"{root}/etc")
    for name in ETC:
        if os.path.lexists(f"/etc/{name}"):
            show(root, f"/etc/{name}", read_only=False)
    bind(f"{root}/etc", f"{root}/etc", read_only=True)


def make_devices(root: str) -> None:
    os.makedirs(f"{root}/dev/shm")
    for name in [*DEVICES, *(n for n in os.listdir("/dev") if n.startswith("nvidia"))]:
        if os.path.exists(f"/dev/{name}") and not os.path.isdir(f"/dev/{name}"):
            os.close(os.open(f"{root}/dev/{name}", os.O_CREAT | os.O_WRONLY))
            bind(f"/dev/{name}", f"{root}/dev/{name}")
    mount("tmpfs", f"{root}/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV)
    os.symlink("/proc/self/fd", f"{root}/dev/fd")
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        os.symlink(f"/proc/self/fd/{number}", f"{root}/dev/{name}")


def make_proc(root: str) -> None:
    try:
        mount("proc", f"{root}/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    except PermissionError:
        bind("/proc", f"{root}/proc")  # inside a container whose own /proc is masked
    # The number of processes is each sandbox's own since Linux 6.14, the machine's before.
    if kernel_version() >= (6, 14):
        with contextlib.suppress(OSError):
            write(f"{root}/proc/sys/kernel/pid_max", str(MOST_PROCESSES))
    for name in KERNEL_SETTINGS:
        path = f"{root}/proc/{name}"
        if os.path.exists(path):
            bind(path, path, read_only=True)


def show(root: str, path: str, *, read_only: bool = True) -> None:
    """Make a file or directory visible at its own path."""
    target = root + path
    if path == "/" or path.split("/")[1] in SYSTEM:
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.islink(path):
        if not os.path.lexists(target):
            os.symlink(os.readlink(path), target)
        if os.path.isdir(path):
            show(root, os.path.realpath(path))
    elif os.path.isdir(path):
        os.makedirs(target, exist_ok=True)
        bind(path, target, read_only=read_only)
    elif not os.path.exists(target):  # else it lies in a directory that is shown already
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY))
        bind(path, target, read_only=read_only)


def make_writable(target: str, layer: str) -> None:
    """Lay the program's own layer over its image, as a container engine does: what it
    installs is there for it and for nobody else. Where the kernel or the file system has
    none for us, the image stays read-only."""
    for name in ("upper", "aside"):
        os.makedirs(f"{layer}/{name}", exist_ok=True)
    parts = {"lowerdir": target, "upperdir": f"{layer}/upper", "workdir": f"{layer}/aside"}
    options = [f"{name}={escape(path)}" for name, path in parts.items()]
    with contextlib.suppress(OSError):
        mount("image", target, "overlay", MS_NOSUID | MS_NODEV, ",".join([*options, "userxattr"]))
        os.chmod(f"{layer}/aside/work", 0o700)  # the kernel's own; else nobody could remove it


def escape(path: str) -> str:
    """A path among the options of a mount."""
    return re.sub(r"([\\,:])", r"\\\1", path)


def mount_fuse(target: str, server: str) -> None:
    """Mount a file system that the server answers for, and hand it the kernel's end."""
    os.makedirs(target, exist_ok=True)
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions"
    mount("s3", target, "fuse", MS_NOSUID | MS_NODEV | MS_RDONLY, options)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(server)
        socket.send_fds(connection, [b"f"], [device])
        connection.recv(1)  # it answers from now on
    os.close(device)


def name_hosts(root: str, directory: str, names: list[str], addresses: dict[str, str]) -> None:
    """An /etc/hosts with the job's host names, our own first. Each is an address of the
    loopback, which is all of 127.0.0.0/8 on Linux."""
    if not names:
        return
    socket.sethostname(names[0])
    hosts = f"{directory}.hosts"
    lines = ["127.0.0.1 localhost", "::1 localhost"]
    lines += [f"{addresses.get(name, '127.0.0.1')} {name}" for name in names]
    write(hosts, "\n".join(lines) + "\n")
    if os.path.exists(f"{root}/etc/hosts"):
        bind(hosts, f"{root}/etc/hosts", read_only=True)


def enter(root: str) -> None:
    os.chdir(root)
    if libc.pivot_root(b".", b".") != 0:
        raise OSError(ctypes.get_errno(), "pivot_root", root)
    # The old root is stacked on the new one; take it away.
    libc.umount2(b".", MNT_DETACH)
    os.chdir("/")


def bind(source: str, target: str, *, read_only: bool = False) -> None:
    """Show a directory or file, with all that is mounted below it, at another path."""
    mount(source, target, None, MS_BIND | MS_REC)
    if read_only:
        protect(target)


def protect(target: str) -> None:
    """Make a mount and all those below it read-only."""
    wanted = struct.pack("QQQQ", MOUNT_ATTR_RDONLY, 0, 0, 0)
    path = target.encode()
    if not libc.syscall(MOUNT_SETATTR, AT_FDCWD, path, AT_RECURSIVE, wanted, len(wanted)):
        return
    # Before Linux 5.12: one after the other.
    with open("/proc/self/mountinfo", "rb") as file:
        points = [os.fsdecode(line.split()[4]) for line in file.read().splitlines()]
    for point in points:
        if f"{point}/".startswith(f"{target}/"):
            # A user namespace may not clear the flags a mount came with, so they are kept.
            flags = os.statvfs(point).f_flag & (MS_NOSUID | MS_NODEV | MS_NOEXEC)
            mount(None, point, None, MS_BIND | MS_REMOUNT | MS_RDONLY | flags)


def drop_rights() -> None:
    """Give up, for good, the capabilities a program does not keep."""
    header = struct.pack("Ii", CAPABILITY_VERSION, 0)
    held = ctypes.create_string_buffer(24)
    if libc.capget(header, held) != 0:
        raise OSError(ctypes.get_errno(), "capget")
    _, permitted, *_ = struct.unpack("6I", held)
    kept = permitted & sum(1 << number for number in KEPT_CAPABILITIES)
    if libc.capset(header, struct.pack("6I", kept, kept, 0, 0, 0, 0)) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def kernel_version() -> tuple[int, int]:
    major, minor, *_ = os.uname().release.split(".")
    return int(major), int("".join(filter(str.isdigit, minor)) or 0)


def mount(
    source: str | None, target: str, kind: str | None, flags: int, data: str | None = None
) -> None:
    def encoded(text: str | None) -> bytes | None:
        return None if text is None else text.encode()

    done = libc.mount(
        encoded(source), encoded(target), encoded(kind), ctypes.c_ulong(flags), encoded(data)
    )
    if done != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mount: {os.strerror(number)}", target)


def raise_loopback() -> None:
    """Bring up `lo` in a network namespace of our own; there is no other interface."""
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        set_flags, up = 0x8914, 1
        fcntl.ioctl(control, set_flags, struct.pack("16sh14x", b"lo", up))


def write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)
