# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the cluster role must know about one host, read from /proc, /sys and files without a subprocess.

Private to this collection. Free of anything newer than Python 3.8, so that a host with too old a Python can say so.
"""

from __future__ import annotations

import array
import ctypes
import fcntl
import glob
import json
import os
import re
import socket
import stat
import struct
import sys
import time
from collections.abc import Iterable
from typing import Any

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
FAMILIES = {"Debian": {"debian", "ubuntu"}, "RedHat": {"rhel", "fedora", "centos"}}
STATE_DIR = "var/lib/selfhosted-kubernetes/components"
DISK_PATHS = ("/var/lib", "/usr/local")
OSDS = "/var/lib/ceph/osd"
# As the kubelet calls the two file systems that it watches: its own, and that of containerd's images.
KUBELET_DISKS = {"nodefs": "/var/lib/kubelet", "imagefs": "/var/lib/containerd"}
STUB_RESOLVER = "127.0.0.53"
REAL_RESOLV_CONF = "/run/systemd/resolve/resolv.conf"
SIOCGIFCONF, SIOCGIFNETMASK = 0x8912, 0x891B
TIME_ERROR = 5
# File of /proc/net, protocol, and the state (include/net/tcp_states.h) of a socket that waits: TCP_LISTEN, TCP_CLOSE.
SOCKETS = (("tcp", "tcp", "0A"), ("tcp6", "tcp", "0A"), ("udp", "udp", "07"), ("udp6", "udp", "07"))


def gather(address: str = "", root: str = "/", disks: Iterable[str] = ()) -> dict[str, Any]:
    """All facts of this host; ``root`` is another file tree for tests."""
    release = os_release(_read(root, "etc/os-release"))
    return {
        **release,
        "architecture": ARCHITECTURES.get(os.uname().machine, os.uname().machine),
        "python": ".".join(str(part) for part in sys.version_info[:3]),
        "swap_bytes": swap_bytes(_read(root, "proc/swaps")),
        "memory_bytes": memory_bytes(_read(root, "proc/meminfo")),
        "disk_free": {path: disk_free(root, path) for path in DISK_PATHS},
        "osd_free": disk_free(root, OSDS),
        "kubelet_disks": {name: [*disk(root, path)] for name, path in KUBELET_DISKS.items()},
        "machine_id": _read(root, "etc/machine-id").strip(),
        "listeners": listeners(root),
        **interface(root, address),
        "cgroup": "v2" if os.path.exists(_path(root, "sys/fs/cgroup/cgroup.controllers")) else "v1",
        "versions": versions(root),
        "systemd": systemd_version(root),
        "resolv_conf": resolv_conf(root),
        "ceph": ceph_version(_read(root, "usr/bin/ceph")),
        "fuse": os.path.exists(_path(root, "dev/fuse")),
        "kernel": os.uname().release,
        "kernel_ceph": kernel_ceph(root, os.uname().release),
        "addresses": [found for found, _ in interface_addresses()],
        "devices": {path: device(root, path) for path in disks},
        "clock": {"host": time.time(), "synchronized": clock_synchronized()},
    }


def kernel_ceph(root: str, release: str) -> bool:
    """Whether the kernel can mount CephFS: it has the file system, or its module."""
    known = _read(root, "proc/filesystems").split()
    return "ceph" in known or "/ceph.ko" in _read(root, f"lib/modules/{release}/modules.dep")


def _path(root: str, path: str) -> str:
    return os.path.join(root, path.lstrip("/"))


def _read(root: str, path: str) -> str:
    """Text of a file, empty when it cannot be read: what is missing then shows in the fact itself."""
    try:
        with open(_path(root, path), encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def os_release(text: str) -> dict[str, str]:
    """Family, distribution and version from os-release(5)."""
    values = dict(re.findall(r"""^([A-Z_]+)=["']?(.*?)["']?\s*$""", text, flags=re.MULTILINE))
    name = values.get("ID", "")
    like = {name, *values.get("ID_LIKE", "").split()}
    family = next((family for family, names in FAMILIES.items() if like & names), name)
    return {"os_family": family, "distribution": name, "distribution_version": values.get("VERSION_ID", "")}


def swap_bytes(text: str) -> int:
    """Sum of /proc/swaps, which is where the kubelet looks too."""
    return sum(int(line.split()[2]) * 1024 for line in text.splitlines()[1:] if line.strip())


def memory_bytes(text: str) -> int:
    """MemTotal of /proc/meminfo."""
    match = re.search(r"^MemTotal:\s+(\d+) kB", text, flags=re.MULTILINE)
    return int(match.group(1)) * 1024 if match else 0


def disk_free(root: str, path: str) -> int:
    """Free bytes of the file system that holds, or will hold, path."""
    return disk(root, path)[0]


def disk(root: str, path: str) -> tuple[int, int]:
    """Free bytes and size of the file system that holds, or will hold, path."""
    path = _path(root, path)
    while not os.path.exists(path):
        path = os.path.dirname(path)
    stat = os.statvfs(path)
    return stat.f_bavail * stat.f_frsize, stat.f_blocks * stat.f_frsize


def versions(root: str) -> dict[str, str]:
    """Version of each component that this collection has installed."""
    found = {}
    for path in sorted(glob.glob(_path(root, STATE_DIR + "/*.json"))):
        try:
            state = json.loads(_read("/", path))
        except ValueError:
            continue  # A damaged state file is the component module's business.
        if isinstance(state, dict) and "name" in state:
            found[str(state["name"])] = str(state.get("version") or "")
    return found


def ceph_version(text: str) -> str:
    """Version of Ceph, which its command names near its beginning (src/ceph.in); empty without one."""
    match = re.search(r'^CEPH_GIT_NICE_VER = "(\d+\.\d+\.\d+)', text, flags=re.MULTILINE)
    return match.group(1) if match else ""


def systemd_version(root: str) -> str | None:
    """Version of the running systemd, None when the host was booted with something else."""
    if not os.path.isdir(_path(root, "run/systemd/system")):
        return None
    for pattern in ("usr/lib/systemd", "lib/systemd", "usr/lib/*/systemd"):
        for path in glob.glob(_path(root, pattern + "/libsystemd-shared-*.so")):
            match = re.search(r"libsystemd-shared-(\d+)", path)
            if match:
                return match.group(1)
    return "unknown"


def resolv_conf(root: str) -> str:
    """The resolver file with real servers in it: pods cannot reach the host's local stub."""
    servers = re.findall(r"^nameserver\s+(\S+)", _read(root, "etc/resolv.conf"), flags=re.MULTILINE)
    return (
        REAL_RESOLV_CONF
        if STUB_RESOLVER in servers and os.path.exists(_path(root, REAL_RESOLV_CONF))
        else "/etc/resolv.conf"
    )


def device(root: str, path: str) -> dict[str, str]:
    """What a disk is, who has it in use, and what is on it: nothing, an OSD of Ceph, or anything else."""
    real = os.path.realpath(_path(root, path))
    if not os.path.exists(real):
        return {"kind": "absent"}
    if not stat.S_ISBLK(os.stat(real).st_mode):
        return {"kind": "other"}
    number = os.stat(real).st_rdev
    return {
        "kind": "disk",
        "used_by": used_by(root, f"{os.major(number)}:{os.minor(number)}", os.path.basename(real)),
        "holds": on_disk(real),
    }


def used_by(root: str, number: str, name: str) -> str:
    """Who has a disk, or a part of it, in use; empty when nobody has, as with a running OSD, which mounts nothing."""
    block = f"sys/class/block/{name}"
    parts = [os.path.dirname(path) for path in sorted(glob.glob(_path(root, f"{block}/{name}*/dev")))]
    names = [name, *map(os.path.basename, parts)]
    # Also by their names: Btrfs mounts with a number of its own.
    known = {number, *(_read("/", f"{path}/dev").strip() for path in parts), *(f"/dev/{it}" for it in names)}
    for fields in (line.split() for line in _read(root, "proc/self/mountinfo").splitlines()):
        if len(fields) > 4 and known & {fields[2], fields[-2]}:
            return f"it is mounted on {fields[4]}"
    swaps = [line.split()[0] for line in _read(root, "proc/swaps").splitlines()[1:]]
    for it in (it for it in names if f"/dev/{it}" in swaps):
        return f"{it} is swap"
    holders = {
        os.path.basename(path)
        for path in glob.glob(_path(root, f"{block}/holders/*")) + glob.glob(_path(root, f"{block}/{name}*/holders/*"))
    }
    return f"{', '.join(sorted(holders))} is made of it" if holders else ""


def on_disk(path: str) -> str:
    """By its first MiB, where partition tables and most file systems have their marks."""
    with open(path, "rb") as stream:
        head = stream.read(1 << 20)
    if head.startswith(b"bluestore block device\n"):
        return "osd"
    return "data" if head.strip(b"\0") else ""


def clock_synchronized() -> bool:
    """Whether the kernel was told so by a time service of late: adjtimex(2), which timedatectl asks, too."""
    return bool(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512)) != TIME_ERROR)


def interface(root: str, address: str) -> dict[str, Any]:
    """Name and MTU of the interface that carries an address, and its prefix there; None when none does."""
    name = dict(interface_addresses()).get(address)
    text = _read(root, f"sys/class/net/{name}/mtu").strip() if name else ""
    return {"interface": name, "mtu": int(text) if text else None, "prefix": prefix(name, address) if name else None}


def prefix(name: str, address: str) -> int:
    """Length in bits of the network part of one of an interface's addresses."""
    request = struct.pack("16sH2x4s16x", name.encode(), socket.AF_INET, socket.inet_aton(address))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        mask = fcntl.ioctl(sock, SIOCGIFNETMASK, request)[20:24]
    return bin(int.from_bytes(mask, "big")).count("1")


def interface_addresses() -> Iterable[tuple[str, str]]:
    """(IPv4 address, interface) of this host; secondary addresses too."""
    entry = 40 if struct.calcsize("P") == 8 else 32  # struct ifreq
    buffer = array.array("B", bytes(1024 * entry))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        answer = fcntl.ioctl(sock, SIOCGIFCONF, struct.pack("iP", len(buffer), buffer.buffer_info()[0]))
    (used,) = struct.unpack_from("i", answer)
    for start in range(0, used, entry):
        item = buffer[start : start + entry].tobytes()
        yield socket.inet_ntoa(item[20:24]), item[:16].split(b"\0", 1)[0].decode().split(":")[0]


def listeners(root: str) -> list[dict[str, Any]]:
    """TCP listeners and unconnected UDP sockets with the program of each (None: the kernel's, or not visible)."""
    sockets = []
    for path, proto, state in SOCKETS:
        sockets += parse_sockets(_read(root, "proc/net/" + path), proto, state)
    programs = socket_programs(root, {inode for _listener, inode in sockets if inode != "0"})
    return [{**listener, "process": programs.get(inode)} for listener, inode in sockets]


def parse_sockets(text: str, proto: str, state: str) -> list[tuple[dict[str, Any], str]]:
    """(listener, inode) of each line of /proc/net/{tcp,udp}{,6} in a state."""
    found = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) > 9 and fields[3] == state:
            address, port = fields[1].split(":")
            found.append(({"proto": proto, "address": decode_address(address), "port": int(port, 16)}, fields[9]))
    return found


def decode_address(text: str) -> str:
    """Address of /proc/net/*: words of 32 bits in the machine's own byte order."""
    raw = b"".join(struct.pack("=I", int(text[start : start + 8], 16)) for start in range(0, len(text), 8))
    if len(raw) == 4:
        return socket.inet_ntop(socket.AF_INET, raw)
    if raw.startswith(b"\0" * 10 + b"\xff\xff"):
        return socket.inet_ntop(socket.AF_INET, raw[12:])
    return socket.inet_ntop(socket.AF_INET6, raw)


def socket_programs(root: str, inodes: Iterable[str]) -> dict[str, str]:
    """Program (name of its executable) by socket inode; it stops as soon as all are known."""
    wanted = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[str, str] = {}
    for process in sorted(glob.glob(_path(root, "proc/[0-9]*")), key=lambda path: int(os.path.basename(path))):
        if not wanted:
            break
        held = wanted.keys() & descriptors(process)
        if held:
            program = os.path.basename(_link(process + "/exe")).replace(" (deleted)", "")
            found.update({wanted.pop(target): program for target in held})
    return found


def descriptors(process: str) -> set[str]:
    """What the open file descriptors of a process point at."""
    try:
        return {_link(entry.path) for entry in os.scandir(process + "/fd")}
    except OSError:
        return set()  # The process has ended, or is not ours to see.


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""
