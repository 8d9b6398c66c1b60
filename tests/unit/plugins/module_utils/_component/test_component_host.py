# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What touches the host: files, and the answers of dpkg, rpm, systemctl and journalctl."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._component.host import ComponentError, Host

ME = os.getuid(), os.getgid()


class Scripted(Host):
    """Programs answer from a table; what was run is kept."""

    def __init__(self, root: Path, answers: dict[str, tuple[int, str]]) -> None:
        super().__init__(str(root))
        self.answers = answers
        self.ran: list[str] = []

    def try_run(self, argv: Sequence[str], environment: Any = None, timeout: float = 600) -> CompletedProcess[str]:
        """The answer to the longest line that fits."""
        del environment, timeout
        line = " ".join(argv)
        self.ran.append(line)
        code, out = next(
            (self.answers[key] for key in sorted(self.answers, key=len, reverse=True) if line.startswith(key)), (0, "")
        )
        return CompletedProcess(list(argv), code, out, "" if code == 0 else out)


def test_write_replaces_at_once(root: Path) -> None:
    """Readers see the old file or the new one; folders are made."""
    host = Host(str(root))
    host.write("/etc/a/b.conf", b"one", 0o640, *ME)
    first = os.stat(root / "etc/a/b.conf").st_ino
    host.write("/etc/a/b.conf", b"two", 0o600, *ME)
    found = host.read("/etc/a/b.conf")
    assert found is not None
    assert (found.content, found.mode) == (b"two", 0o600)
    assert os.stat(root / "etc/a/b.conf").st_ino != first
    assert [path.name for path in (root / "etc/a").iterdir()] == ["b.conf"]


def test_write_to_a_mount_point_happens_in_place(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/etc/hosts of a container cannot be replaced, and gets its mode all the same."""
    (root / "hosts").write_text("old")
    inode = (root / "hosts").stat().st_ino

    def busy(_self: Path, _target: Path) -> None:
        raise OSError(errno.EBUSY, "Device or resource busy")

    monkeypatch.setattr(Path, "replace", busy)
    Host(str(root)).write("/hosts", b"new", 0o600, *ME)
    assert (root / "hosts").read_bytes() == b"new"
    assert (root / "hosts").stat().st_ino == inode
    assert stat.S_IMODE((root / "hosts").stat().st_mode) == 0o600
    assert [path.name for path in root.iterdir()] == ["hosts"]


def test_failed_write_leaves_the_old_file_and_nothing_else(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For example on a full disk."""
    (root / "a").write_text("old")

    def full(_number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        Host(str(root)).write("/a", b"new", 0o600, *ME)
    assert [(path.name, path.read_text()) for path in root.iterdir()] == [("a", "old")]


def test_link_is_read_as_itself_and_replaced_by_a_file(root: Path) -> None:
    """Nothing is written through a link."""
    (root / "target").write_text("kept")
    (root / "link").symlink_to("target")
    host = Host(str(root))
    found = host.read("/link")
    assert found is not None
    assert found.content == b"target"
    host.write("/link", b"own", 0o644, *ME)
    assert not (root / "link").is_symlink()
    assert (root / "target").read_text() == "kept"


@pytest.mark.parametrize("content", ["", "{", "[1]"])
def test_damaged_state_counts_as_none(root: Path, content: str) -> None:
    """A disk that lost a file is no reason to stop."""
    host = Host(str(root))
    host.save("components/x.json", {"a": 1})
    assert host.load("components/x.json") == {"a": 1}
    host.path("/var/lib/selfhosted-kubernetes/components/x.json").write_text(content)
    assert host.load("components/x.json") is None
    assert host.load("components/y.json") is None


def test_dpkg_knows_what_is_missing(root: Path) -> None:
    """A removed package is missing although dpkg knows its name; one call for all."""
    (root / "var/lib/dpkg").mkdir(parents=True)
    (root / "var/lib/dpkg/status").touch()
    out = "installed nginx 1.22.1-9\nconfig-files haproxy 2.6\ninstalled libc6 2.36\n"
    host = Scripted(root, {"dpkg-query": (1, out)})
    assert host.missing_packages(["nginx", "haproxy", "libc6", "conntrack"]) == ["haproxy", "conntrack"]
    assert len(host.ran) == 1
    assert host.missing_packages([]) == []
    assert len(host.ran) == 1
    # One version of it, and another.
    assert host.missing_packages(["nginx=1.22.1-9", "libc6=2.37", "tar=1"]) == ["libc6=2.37", "tar=1"]
    assert host.ran[-1].endswith(" nginx libc6 tar")


def test_apt_refreshes_its_list_only_when_it_has_to(root: Path) -> None:
    """And a mirror that is broken is an error."""
    (root / "var/lib/dpkg").mkdir(parents=True)
    (root / "var/lib/dpkg/status").touch()
    host = Scripted(root, {})
    host.install_packages(["conntrack"])
    assert [line.split()[1] for line in host.ran] == ["install"]
    assert "downgrade" not in host.ran[0]
    host.install_packages(["toy=1.2"])
    assert host.ran[-1].endswith("--allow-downgrades toy=1.2")
    host = Scripted(root, {"apt-get install": (100, "E: Unable to locate package conntrack")})
    with pytest.raises(ComponentError, match="failed with exit code 100: E: Unable to locate package conntrack"):
        host.install_packages(["conntrack"])
    assert [line.split()[1] for line in host.ran] == ["install", "update", "install"]


def test_rpm_hosts(root: Path) -> None:
    """By what a package provides, under its name there; installed with dnf, each once."""
    missing = ("haproxy", "conntrack-tools", "util-linux")
    host = Scripted(root, {f"rpm --query --whatprovides {name}": (1, "no package provides it") for name in missing})
    wanted = ["nginx", "haproxy", "conntrack", "iproute2", "mount", "util-linux"]
    assert host.missing_packages(wanted) == ["haproxy", "conntrack", "mount", "util-linux"]
    assert host.ran[3] == "rpm --query --whatprovides iproute"
    host.install_packages(host.missing_packages(wanted))
    assert host.ran[-2] == "dnf install --assumeyes --quiet haproxy conntrack-tools util-linux"


def test_services_of_the_distribution_stay_off(root: Path) -> None:
    """Masked while their packages are installed, also by a run that fails; others start as the distribution wants."""
    host = Scripted(root, {"dnf install": (1, "Error: no match")})
    with pytest.raises(ComponentError, match="no match"):
        host.install_packages(["nginx", "chrony", "haproxy"])
    units = "nginx.service haproxy.service"
    assert host.ran == [
        f"systemctl mask --runtime {units}",
        "dnf install --assumeyes --quiet nginx chrony haproxy",
        f"systemctl unmask --runtime {units}",
    ]
    host = Scripted(root, {})
    host.install_packages(["chrony"])
    assert host.ran == ["dnf install --assumeyes --quiet chrony"]


def test_units_in_one_call(root: Path) -> None:
    """Blocks of `systemctl show` belong to the units in their order, also for unknown units."""
    out = "LoadState=loaded\nActiveState=active\n\nLoadState=not-found\nActiveState=inactive\nUnitFileState=\n"
    host = Scripted(root, {"systemctl show": (0, out)})
    found = host.units(["a.service", "b.service"])
    assert found["a.service"] == {"LoadState": "loaded", "ActiveState": "active"}
    assert found["b.service"]["UnitFileState"] == ""
    assert len(host.ran) == 1
    assert host.units([]) == {}


def test_output_that_is_no_text_does_no_harm(root: Path) -> None:
    """A journal holds any byte; an error's text must not become a traceback."""
    done = Host(str(root)).try_run([sys.executable, "-c", r"import os; os.write(1, b'\xff\xfe ok')"])
    assert done.stdout == "\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER} ok"


def test_commands_that_cannot_run_are_answers(root: Path) -> None:
    """Missing, not executable, or silent for too long."""
    host = Host(str(root))
    (root / "data").write_text("")
    assert host.try_run(["/no/such/program"]).returncode == 127
    assert host.try_run([str(root / "data")]).returncode == 127
    assert host.try_run(["sleep", "5"], timeout=0.05).returncode == 124
