# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts from a made-up file tree, and from this very machine."""

from __future__ import annotations

import ast
import ipaddress
import os
import socket
import stat
import struct
import sys
import time
from pathlib import Path

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.module_utils import _host_facts as host_facts
from hypothesis import given
from hypothesis import strategies as st

HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nID=debian\n'
UBUNTU = 'NAME="Ubuntu"\nVERSION_ID="24.04"\nID=ubuntu\nID_LIKE=debian\n'
ROCKY = 'NAME="Rocky Linux"\nID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"\n'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host: swap on, cgroup v2, a resolver stub, a kubelet that listens."""
    files = {
        "etc/os-release": DEBIAN,
        "etc/machine-id": "0f3a\n",
        "etc/resolv.conf": "# stub\nnameserver 127.0.0.53\n",
        "run/systemd/resolve/resolv.conf": "nameserver 192.0.2.53\n",
        "run/systemd/system/x": "",
        "usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-252.so": "",
        "sys/fs/cgroup/cgroup.controllers": "cpu",
        "usr/bin/ceph": '#! /usr/bin/python3\n\nCEPH_GIT_VER = "bf3a1f"\nCEPH_GIT_NICE_VER = "19.2.3"\n',
        "sys/class/net/lo/mtu": "65536\n",
        "proc/meminfo": "MemFree: 1 kB\nMemTotal:        4014528 kB\n",
        "proc/swaps": "Filename\tType\tSize\tUsed\tPriority\n/dev/sda2 partition 1024 0 -2\n/swap file 1024 0 -3\n",
        "proc/net/tcp": HEADER
        + f"   0: {hexed('127.0.0.1')}:2808 00000000:0000 0A 0:0 00:0 0 0 0 4711 1\n"
        + f"   1: {hexed('127.0.0.1')}:0016 00000000:0000 01 0:0 00:0 0 0 0 1 1\n",
        "proc/net/tcp6": HEADER + f"   0: {hexed('::')}:280A {'0' * 32}:0000 0A 0:0 00:0 0 0 0 4712 1\n",
        "proc/net/udp": HEADER + "   0: 00000000:2118 00000000:0000 07 0:0 00:0 0 0 0 0 1\n",
        "proc/42/fd/.keep": "",
        "var/lib/selfhosted-kubernetes/components/kubelet.json": '{"name": "kubelet", "version": "1.37.2"}',
        "var/lib/selfhosted-kubernetes/components/containerd.json": '{"name": "containerd"}',
        "var/lib/selfhosted-kubernetes/components/damaged.json": "{",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for number, target in ((3, "socket:[4711]"), (4, "socket:[4712]"), (5, "/dev/null")):
        (tmp_path / f"proc/42/fd/{number}").symlink_to(target)
    (tmp_path / "proc/42/exe").symlink_to("/usr/local/bin/kubelet (deleted)")
    return tmp_path


def hexed(address: str) -> str:
    """An address as the kernel writes it on this machine."""
    raw = ipaddress.ip_address(address).packed
    return "".join(f"{word:08X}" for (word,) in struct.iter_unpack("=I", raw))


def test_whole_host(root: Path) -> None:
    """Every fact that validation reads."""
    facts = host_facts.gather("127.0.0.1", str(root))
    clock, free = facts.pop("clock"), facts.pop("disk_free")
    assert abs(clock["host"] - time.time()) < 5
    assert isinstance(clock["synchronized"], bool)
    assert set(free) == {"/var/lib", "/usr/local"}
    assert min(*free.values(), facts.pop("osd_free")) > 0
    for available, size in facts.pop("kubelet_disks").values():
        assert 0 < available < size
    assert facts.pop("kernel") == os.uname().release
    assert facts.pop("python") == ".".join(str(part) for part in sys.version_info[:3])
    assert facts.pop("architecture") == {"x86_64": "amd64", "aarch64": "arm64"}.get(
        os.uname().machine, os.uname().machine
    )
    assert "127.0.0.1" in facts.pop("addresses")
    assert facts == {
        "ceph": "19.2.3",
        "fuse": False,
        "kernel_ceph": False,
        "devices": {},
        "os_family": "Debian",
        "distribution": "debian",
        "distribution_version": "12",
        "swap_bytes": 2 * 1024 * 1024,
        "memory_bytes": 4014528 * 1024,
        "machine_id": "0f3a",
        "listeners": [
            {"proto": "tcp", "address": "127.0.0.1", "port": 10248, "process": "kubelet"},
            {"proto": "tcp", "address": "::", "port": 10250, "process": "kubelet"},
            {"proto": "udp", "address": "0.0.0.0", "port": 8472, "process": None},
        ],
        "interface": "lo",
        "mtu": 65536,
        "prefix": 8,
        "cgroup": "v2",
        "versions": {"containerd": "", "kubelet": "1.37.2"},
        "systemd": "252",
        "resolv_conf": "/run/systemd/resolve/resolv.conf",
    }


def test_empty_host(tmp_path: Path) -> None:
    """Nothing readable is an answer that validation can refuse, not a crash."""
    facts = host_facts.gather("", str(tmp_path))
    assert (facts["listeners"], facts["versions"], facts["resolv_conf"]) == ([], {}, "/etc/resolv.conf")
    assert (facts["distribution"], facts["machine_id"], facts["systemd"], facts["mtu"]) == ("", "", None, None)
    assert facts["prefix"] is None
    assert (facts["memory_bytes"], facts["swap_bytes"], facts["cgroup"]) == (0, 0, "v1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (DEBIAN, ("Debian", "debian", "12")),
        (UBUNTU, ("Debian", "ubuntu", "24.04")),
        (ROCKY, ("RedHat", "rocky", "9.4")),
        ("ID=arch\n", ("arch", "arch", "")),
    ],
)
def test_os_release(text: str, expected: tuple[str, str, str]) -> None:
    """As the distributions write it."""
    assert tuple(host_facts.os_release(text).values()) == expected


@pytest.mark.parametrize(
    "library", ["libsystemd-shared-252-32.el9_4.so", "libsystemd-shared-255.so", "libsystemd-shared-257.9-1~deb13u1.so"]
)
def test_systemd_version(tmp_path: Path, library: str) -> None:
    """From the name of its library on RHEL, Ubuntu and Debian."""
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    assert host_facts.systemd_version(str(tmp_path)) == "unknown"
    (tmp_path / "usr/lib/systemd").mkdir(parents=True)
    (tmp_path / "usr/lib/systemd" / library).touch()
    assert host_facts.systemd_version(str(tmp_path)) == library.split("-")[2][:3]


@given(st.ip_addresses())
def test_address_of_proc_net(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    """Any address, read back."""
    decoded = ipaddress.ip_address(host_facts.decode_address(hexed(str(address))))
    assert decoded in (address, getattr(address, "ipv4_mapped", None))


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, ""),
        ({"proc/self/mountinfo": "36 35 8:16 / /srv rw - ext4 /dev/sdb rw\n"}, "it is mounted on /srv"),
        ({"proc/self/mountinfo": "36 35 8:17 / /srv rw - ext4 /dev/sdb1 rw\n"}, "it is mounted on /srv"),
        ({"proc/self/mountinfo": "36 35 0:40 / /srv rw shared:1 - btrfs /dev/sdb1 rw\n"}, "it is mounted on /srv"),
        ({"proc/self/mountinfo": "36 35 8:32 / /srv rw - ext4 /dev/sdc rw\n"}, ""),
        ({"proc/swaps": "Filename\tType\tSize\tUsed\tPriority\n/dev/sdb partition 1024 0 -2\n"}, "sdb is swap"),
        ({"proc/swaps": "Filename\tType\tSize\tUsed\tPriority\n/dev/sdb1 partition 1024 0 -2\n"}, "sdb1 is swap"),
        ({"proc/swaps": "Filename\tType\tSize\tUsed\tPriority\n/dev/sdc1 partition 1024 0 -2\n"}, ""),
        (
            {"sys/class/block/sdb/holders/md0/x": "", "sys/class/block/sdb/holders/dm-0/x": ""},
            "dm-0, md0 is made of it",
        ),
        # LVM, LUKS and md have partitions, too.
        ({"sys/class/block/sdb/sdb1/holders/dm-0/x": ""}, "dm-0 is made of it"),
    ],
)
def test_a_disk_in_use_is_seen(tmp_path: Path, files: dict[str, str], said: str) -> None:
    """Also by a part of it."""
    for name, text in {"sys/class/block/sdb/sdb1/dev": "8:17\n", **files}.items():
        (path := tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert host_facts.used_by(str(tmp_path), "8:16", "sdb") == said


@pytest.mark.parametrize(
    ("path", "kernel_name"),
    [
        ("/dev/disk/by-id/wwn-0x5000c500a1b2c3d4-part1", "sdb1"),
        ("/dev/vg/lv", "dm-0"),
        ("/dev/disk/by-id/nvme-x", "nvme0n1"),
    ],
)
def test_a_part_of_a_disk_is_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, kernel_name: str
) -> None:
    """A partition and a logical volume are disks as others are, by the name that the kernel has for them."""
    monkeypatch.setattr(stat, "S_ISBLK", lambda _: True)
    (tmp_path / "proc").mkdir()
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / kernel_name).write_bytes(b"\0" * 4096)
    (link := tmp_path / path.lstrip("/")).parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "dev" / kernel_name)
    assert host_facts.device(str(tmp_path), path) == {"kind": "disk", "used_by": "", "holds": ""}
    (tmp_path / "proc/swaps").write_text(f"Filename Type\n/dev/{kernel_name} partition\n", encoding="utf-8")
    assert host_facts.device(str(tmp_path), path)["used_by"] == f"{kernel_name} is swap"


def test_what_is_no_disk_is_seen(tmp_path: Path) -> None:
    """Nothing there, and a file where a disk should be."""
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/sdb").write_bytes(b"")
    seen = {path: host_facts.device(str(tmp_path), path)["kind"] for path in ("/dev/sdb", "/dev/sdc")}
    assert seen == {"/dev/sdb": "other", "/dev/sdc": "absent"}


@pytest.mark.parametrize(
    ("content", "found"), [(b"\0" * 4096, ""), (b"bluestore block device\n5b6b\n", "osd"), (b"\0" * 512 + b"x", "data")]
)
def test_what_is_on_a_disk_is_seen(tmp_path: Path, content: bytes, found: str) -> None:
    """Whatever is not empty is somebody's."""
    (tmp_path / "disk").write_bytes(content)
    assert host_facts.on_disk(str(tmp_path / "disk")) == found


def test_this_machine_sees_its_own_listener() -> None:
    """The real /proc, with a real socket."""
    with socket.socket() as sock, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        datagrams.bind(("127.0.0.1", 0))
        program = Path(os.readlink("/proc/self/exe")).name
        found = host_facts.listeners("/")
        for proto, port in (("tcp", sock.getsockname()[1]), ("udp", datagrams.getsockname()[1])):
            assert {"proto": proto, "address": "127.0.0.1", "port": port, "process": program} in found


def test_it_is_quick() -> None:
    """Every run asks every host."""
    started = time.process_time()
    host_facts.gather("127.0.0.1")
    assert time.process_time() - started < 0.5


def test_it_runs_on_an_old_python() -> None:
    """A host with Python 3.8 can still say that it has Python 3.8."""
    ast.parse(Path(host_facts.__file__).read_text(encoding="utf-8"), feature_version=(3, 8))
