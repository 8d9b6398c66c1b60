# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Prometheus is told of the shared file system, for which a folder and a dictionary of attributes stand."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._ceph import metrics

NOW = 1800000000.0
MOUNTS = "30 1 0:26 / /cephfs ro - tmpfs no-cephfs ro,size=4k\n"
ANSWER = "selfhosted_cephfs_last_answer_timestamp_seconds 1800000000"


@pytest.fixture
def attributes(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], bytes]:
    """Of folders, by name; one that is not there is ENODATA, as of a folder without a quota."""
    found: dict[tuple[str, str], bytes] = {}

    def getxattr(path: Path, name: str) -> bytes:
        if (path.name, name) not in found:
            raise OSError(errno.ENODATA, "No data available")
        return found[path.name, name]

    monkeypatch.setattr(os, "getxattr", getxattr)
    monkeypatch.setattr(time, "time", lambda: NOW)
    monkeypatch.setattr(metrics, "is_mounted", lambda _root: True)
    return found


@pytest.fixture
def root(tmp_path: Path, attributes: dict[tuple[str, str], bytes]) -> Path:
    """A file system with a volume of 64 MiB, one that is being removed, and three snapshots."""
    there = tmp_path / "cephfs"
    (there / ".claims").mkdir(parents=True)
    for volume, claim in (("pvc-1", "db"), ("pvc-2", "gone")):
        record = {"metadata": {"name": volume}, "spec": {"claimRef": {"namespace": "shop", "name": claim}}}
        (there / f".claims/{volume}.json").write_text(json.dumps(record), encoding="ascii")
    (there / ".claims/pvc-3.json.new").write_text("{", encoding="ascii")
    for name, torn in (("pvc-4", ""), ("pvc-5", '{"metadata": {"name": "pvc-5"}, "spec": {}}')):
        (there / f".claims/{name}.json").write_text(torn, encoding="ascii")
    attributes["pvc-1", "ceph.quota.max_bytes"], attributes["pvc-1", "ceph.dir.rbytes"] = b"67108864", b"60397978"
    attributes["pvc-2", "ceph.dir.rbytes"] = b"1"
    for name in ("scheduled-2026-01-31-09_00_00", "scheduled-2026-01-31-10_00_00_UTC", "scheduled-mine", "backup-o1"):
        (there / ".snap" / name).mkdir(parents=True)
    return there


@pytest.fixture
def told(root: Path) -> Callable[..., list[str]]:
    """The lines with values in the file that node_exporter reads."""

    def run(*schedule: str) -> list[str]:
        target = root.parent / "cephfs.prom"
        assert metrics.main(str(root), str(target), *schedule) == ""
        assert target.stat().st_mode & 0o444 == 0o444
        return [it for it in target.read_text(encoding="ascii").splitlines() if not it.startswith("#")]

    return run


def test_a_node_says_that_it_answers(told: Callable[..., list[str]]) -> None:
    """And no more: there may be hundreds of nodes."""
    assert told() == [ANSWER]


def test_a_master_says_how_all_is(told: Callable[..., list[str]]) -> None:
    """A volume that goes away meanwhile is left out."""
    labels = '{namespace="shop",persistentvolumeclaim="db",persistentvolume="pvc-1"}'
    assert told("1h") == [
        ANSWER,
        f"selfhosted_volume_capacity_bytes{labels} 67108864",
        f"selfhosted_volume_used_bytes{labels} 60397978",
        "selfhosted_cephfs_snapshot_interval_seconds 3600",
        "selfhosted_cephfs_last_snapshot_timestamp_seconds 1769853600",
    ]


def test_promtool_reads_it(root: Path, tool: Callable[[str], str]) -> None:
    """It complains about names and types as well."""
    text = metrics.text_of(list(metrics.samples(root, "2d")))
    done = subprocess.run(
        [tool("promtool"), "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_no_snapshots_are_wanted(told: Callable[..., list[str]]) -> None:
    """Then none can be late."""
    assert [it for it in told("") if "snapshot" in it] == []


@pytest.mark.parametrize("older", [True, False], ids=["before the first", "long ago, with another schedule"])
def test_the_first_snapshot_of_a_schedule(root: Path, told: Callable[..., list[str]], older: bool) -> None:
    """It is missed once it could have been made."""
    for it in (root / ".snap").glob("scheduled-*"):
        if older:
            it.rmdir()
    caller = root.parent / "cephfs-watch"
    caller.touch()
    os.utime(caller, (NOW, NOW))
    assert told("1d", str(caller))[-1] == f"selfhosted_cephfs_last_snapshot_timestamp_seconds {NOW:.15g}"


def test_a_node_that_never_mounted_is_missed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From when it was asked first."""
    monkeypatch.setattr(metrics, "is_mounted", lambda _root: False)
    target = root.parent / "cephfs.prom"
    assert "is not mounted" in metrics.main(str(root), str(target))
    assert ANSWER in target.read_text(encoding="ascii")
    target.write_text("as it was", encoding="ascii")
    assert "is not mounted" in metrics.main(str(root), str(target))
    assert target.read_text(encoding="ascii") == "as it was"


def test_a_new_file_system(root: Path, told: Callable[..., list[str]]) -> None:
    """Before the first claim."""
    for it in (root / ".claims").iterdir():
        it.unlink()
    (root / ".claims").rmdir()
    assert [it for it in told("") if "volume" in it] == []


@pytest.mark.parametrize(
    ("mount", "expected"),
    [
        ("", False),
        ("31 30 0:40 / /cephfs rw,noatime shared:5 - fuse.ceph-fuse ceph-fuse rw,allow_other\n", True),
        ("31 30 0:40 / /cephfs rw,noatime - ceph 192.0.2.4:3300:/ rw\n", True),
        ("31 30 0:40 / /cephfs/pvc-1 rw - fuse.ceph-fuse ceph-fuse rw\n", False),
    ],
)
def test_it_is_that_file_system(tmp_path: Path, mount: str, *, expected: bool) -> None:
    """And not the one of no size below it, which answers, too."""
    (tmp_path / "mountinfo").write_text(MOUNTS + mount, encoding="ascii")
    assert metrics.is_mounted(Path("/cephfs"), tmp_path / "mountinfo") is expected
