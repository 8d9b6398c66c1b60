# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done to a disk, with a file in its place: no data is touched unless that very disk is named."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._ceph import osd

UUID = "18ae9f46-6c8e-5343-b6e7-b35f0e213e65"
OURS = osd.LABEL + UUID.encode() + b"\n"
THEIRS = osd.LABEL + b"00000000-0000-0000-0000-000000000000\n"


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Commands of Ceph, which do what matters here and are remembered."""
    said: list[list[str]] = []
    data = tmp_path / "osd/a"

    def run(*argv: str, given: str = "") -> str:
        said.append([*argv, given] if given else list(argv))
        if argv[0] == "ceph-authtool":
            return "a key"
        if "new" in argv:
            return "7"
        if argv[0] == "ceph-osd" or "prime-osd-dir" in argv:
            (data / "whoami").write_text("7\n", encoding="ascii")
            (data / "ready").write_text("ready\n", encoding="ascii")
        if argv[0] == "ceph-osd" and (data / "block").is_symlink():
            (data / "block").write_bytes(OURS)
        return ""

    monkeypatch.setattr(osd, "run", run)
    monkeypatch.setattr(osd, "DATA", str(tmp_path / "osd"))
    monkeypatch.setattr(osd, "SETTINGS", str(tmp_path))
    monkeypatch.setattr(shutil, "chown", lambda *_: None)
    monkeypatch.setattr(stat, "S_ISBLK", lambda _: True)
    return said


def prepare(folder: Path, content: bytes | None, wipe: str = "no") -> Path:
    """The settings of an OSD on a disk with a content."""
    disk = folder / "sdb"
    if content is not None:
        disk.write_bytes(content)
    text = f"UUID={UUID}\nDEVICE={disk}\nWIPE={wipe}\n"
    (folder / "a.env").write_text(text, encoding="utf-8")
    return disk


def programs(commands: list[list[str]]) -> list[str]:
    """What was run."""
    return [command[0] for command in commands]


def test_an_empty_disk_becomes_an_osd_once(tmp_path: Path, commands: list[list[str]]) -> None:
    """Its key goes by standard input; later starts find all done."""
    prepare(tmp_path, b"")
    osd.main("a")
    assert programs(commands) == ["ceph-authtool", "ceph", "ceph-osd"]
    assert json.loads(commands[1][-1]) == {"cephx_secret": "a key"}
    assert "a key" not in " ".join(commands[1][:-1])
    folder = tmp_path / "osd/a"
    assert (folder / "OSD_ID.env").read_text(encoding="ascii") == "OSD_ID=7\n"
    assert {oct((folder / name).stat().st_mode & 0o777) for name in ("secret", "keyring")} == {"0o600"}
    commands.clear()
    osd.main("a")
    assert commands == []


@pytest.mark.parametrize("name", ["disk/by-id/wwn-0x5000c500a1b2c3d4-part1", "vg/lv"])
def test_a_partition_or_a_logical_volume_becomes_one(tmp_path: Path, commands: list[list[str]], name: str) -> None:
    """By the name that stays, whatever the kernel's is after the next boot."""
    (link := tmp_path / name).parent.mkdir(parents=True)
    link.symlink_to(prepare(tmp_path, b""))
    (tmp_path / "a.env").write_text(f"UUID={UUID}\nDEVICE={link}\nWIPE=no\n", encoding="utf-8")
    osd.main("a")
    assert programs(commands) == ["ceph-authtool", "ceph", "ceph-osd"]
    assert os.readlink(tmp_path / "osd/a/block") == str(link)
    (tmp_path / "sdb").rename(tmp_path / "sdc")
    link.unlink()
    link.symlink_to(tmp_path / "sdc")
    commands.clear()
    osd.main("a")
    assert commands == []


@pytest.mark.parametrize(("content", "what"), [(b"\0" * 600 + b"x", "data"), (THEIRS, "another OSD")])
def test_what_holds_data_is_left_alone(tmp_path: Path, commands: list[list[str]], content: bytes, what: str) -> None:
    """Not one byte is written."""
    disk = prepare(tmp_path, content)
    with pytest.raises(SystemExit, match=f"holds {what}: it is left alone; ceph_wipe would have to name it"):
        osd.main("a")
    assert disk.read_bytes() == content
    assert commands == []


def test_a_disk_that_is_named_is_overwritten(tmp_path: Path, commands: list[list[str]]) -> None:
    """Its old marks are gone before it becomes an OSD."""
    prepare(tmp_path, b"x" * 4096, wipe="yes")
    osd.main("a")
    assert programs(commands) == ["wipefs", "ceph-authtool", "ceph", "ceph-osd"]


def test_a_mention_in_ceph_wipe_wipes_no_osd_of_ours(tmp_path: Path, commands: list[list[str]]) -> None:
    """It is for what was there before."""
    prepare(tmp_path, b"")
    osd.main("a")
    disk = prepare(tmp_path, None, wipe="yes")
    commands.clear()
    osd.main("a")
    assert commands == []
    assert disk.read_bytes() == OURS


def test_a_system_that_was_installed_anew_finds_its_osd(tmp_path: Path, commands: list[list[str]]) -> None:
    """The disk has all that was in the folder."""
    prepare(tmp_path, OURS)
    osd.main("a")
    assert "prime-osd-dir" in commands[0]
    assert "ceph-osd" not in programs(commands)


def test_a_run_that_was_killed_is_finished(tmp_path: Path, commands: list[list[str]]) -> None:
    """With the same key, which the cluster may know already."""
    prepare(tmp_path, OURS)
    (tmp_path / "osd/a").mkdir(parents=True)
    (tmp_path / "osd/a/secret").write_text('{"cephx_secret": "an older key"}', encoding="ascii")
    osd.main("a")
    assert programs(commands) == ["ceph", "ceph-osd"]
    assert "an older key" in commands[0][-1]


def test_a_disk_that_is_suddenly_empty_is_somebodys_mistake(tmp_path: Path, commands: list[list[str]]) -> None:
    """Which OSD has to be purged is said."""
    disk = prepare(tmp_path, b"")
    osd.main("a")
    disk.write_bytes(b"")
    commands.clear()
    with pytest.raises(SystemExit, match="the disk of OSD 7 was replaced: `ceph osd purge 7`"):
        osd.main("a")
    assert commands == []


def test_a_disk_that_is_not_there_is_named(tmp_path: Path, commands: list[list[str]]) -> None:
    """By the name that the inventory has."""
    disk = prepare(tmp_path, None)
    with pytest.raises(SystemExit, match=f"{disk} is no disk of this host: correct ceph_osds"):
        osd.main("a")
    assert commands == []
    assert not os.path.exists(disk)
