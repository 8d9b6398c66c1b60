# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back to a cluster of one member, with an etcd of this file; also when it is killed at any step."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.module_utils import _etcd_recover
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._etcd_recover import (
    RecoverError,
    Recovery,
    uids_of,
)
from ansible_collections.selfhosted.kubernetes.tests.unit.plugins.module_utils._component.world import KILLER, Killed

OURS, THEIRS = "0b6b5d4a-7d0f-4a3c-9f59-0d9a1c0c2f6e", "ffffffff-7d0f-4a3c-9f59-0d9a1c0c2f6e"
CONFIG = """initial-advertise-peer-urls: https://10.0.0.1:2380
initial-cluster-state: existing
initial-cluster-token: 'lab'
listen-metrics-urls: http://127.0.0.1:2381
name: m1
"""
SNAPSHOT = "/root/snapshot.db"
Answer = tuple[int, str, str]


def database(*uids: str) -> bytes:
    """Pages of a database, each with a version of the namespace: API servers write gogo-proto, with empty fields."""
    pages = [
        b"\x0a\x1f/registry/namespaces/kube-system\x10\x05\x18\x05\x20\x01\x2a\x9a\x01k8s\x00\n\x0f\n\x02v1\x12\tNamespace"
        b'\x12\xa8\x01\n\xa2\x01\n\x0bkube-system\x12\x00\x1a\x00"\x00*$' + uid.encode() + b"2\x008\x00"
        for uid in uids
    ]
    return b"\x00" * 64 + b"\x0a\x1e/registry/namespaces/default\x10\x05*$no".join([b"", *pages]) + b"\x00" * 64


class World:
    """A host m1 with a member of three, the other two of which are lost."""

    # What a snapshot is restored as.
    restored_members, restored_token, restored = "m1=https://10.0.0.1:2380", "lab", "one, of the snapshot"

    def __init__(self, root: Path) -> None:
        self.root = root
        self.member = root / "var/lib/etcd/member"
        (self.member / "wal").mkdir(parents=True)
        (self.member / "snap").mkdir()
        (root / "run").mkdir()
        (root / "root").mkdir()
        (root / "etc/etcd").mkdir(parents=True)
        (root / "etc/etcd/etcd.yaml").write_text(CONFIG)
        self.write("three, with all", self.member)
        self.snapshot(OURS)
        self.units: set[str] = set()
        self.others = False
        self.damaged = False

    def write(self, what: str, member: Path) -> None:
        """What the member's data is."""
        (member / "snap/db").write_bytes(what.encode() + database(OURS))

    def snapshot(self, *uids: str) -> None:
        """A snapshot of a cluster."""
        (self.root / "root/snapshot.db").write_bytes(database(*uids))

    @property
    def data(self) -> str:
        """What the member's data is."""
        return (self.member / "snap/db").read_bytes().partition(b"\x00")[0].decode()

    def run(self, argv: list[str]) -> Answer:
        """In place of the module's run_command."""
        KILLER.step(" ".join(argv))
        program = argv[0].rpartition("/")[2].replace("-", "_")
        answer: Answer = getattr(self, program)(argv[1:])
        return answer

    def systemctl(self, words: list[str]) -> Answer:
        """Units that systemd knows."""
        if words[0] == "start":
            self.units.add(words[-1])
        else:
            self.units.discard(words[-1])
        return 0, "", ""

    def systemd_run(self, words: list[str]) -> Answer:
        """The member forgets the others, whenever it begins like this."""
        config = (self.root / "run/etcd-recover.yaml").read_text()
        assert words[-1] == "--config-file=/run/etcd-recover.yaml"
        assert config == CONFIG + "force-new-cluster: true\n"
        assert "etcd.service" not in self.units
        self.write(self.data.replace("three", "one"), self.member)
        self.units.add("etcd-recover.service")
        return 0, "", ""

    def etcdctl(self, words: list[str]) -> Answer:
        """Answers while one unit runs and has a majority."""
        assert len(self.units) <= 1
        local = words[0].startswith("--endpoints=https://127")
        alone = self.units and self.data.startswith("one")
        if not alone and (local or not self.others):
            return 1, "", "{a log}\nError: context deadline exceeded"
        return 0, json.dumps({"members": [{"ID": 1}]}), ""

    def etcdutl(self, words: list[str]) -> Answer:
        """Restores below the folder that is named."""
        if self.damaged:
            return 1, "", "Error: expected sha256 [1], got [2]"
        assert {"--bump-revision=1000000000", "--mark-compacted", "--name=m1"} <= set(words)
        assert f"--initial-cluster={self.restored_members}" in words
        assert f"--initial-cluster-token={self.restored_token}" in words
        target = Path(next(word for word in words if word.startswith("--data-dir=")).partition("=")[2])
        (target / "member/wal").mkdir(parents=True)
        (target / "member/snap").mkdir()
        self.write(self.restored, target / "member")
        return 0, "", ""

    def cp(self, words: list[str]) -> Answer:
        """Of a folder."""
        shutil.copytree(words[-2], words[-1])
        return 0, "", ""

    def chown(self, _words: list[str]) -> Answer:
        """Tests are not root."""
        return 0, "", ""

    def recover(self, snapshot: str = "", uid: str = OURS, check: bool = False) -> bool:
        """One run of the module."""
        return Recovery(self.run, 0.01, str(self.root)).recover(snapshot, uid, check)

    def assert_done(self, data: str) -> None:
        """It runs alone, by its usual unit, and nothing is left over."""
        assert (self.data, self.units) == (data, {"etcd.service"})
        assert [path.name for path in self.member.parent.iterdir()] == ["member"]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits."""
    monkeypatch.setattr(_etcd_recover, "POLL_SECONDS", 0.001)


@pytest.fixture
def new_world(tmp_path: Path) -> Callable[[], World]:
    """Makes a world."""
    numbers = count()
    return lambda: World(tmp_path / f"world-{next(numbers)}")


@pytest.fixture
def world(new_world: Callable[[], World]) -> World:
    """One."""
    return new_world()


FORMS = [("", "one, with all"), (SNAPSHOT, "one, of the snapshot")]


@pytest.mark.parametrize(("snapshot", "data"), FORMS, ids=["member", "snapshot"])
def test_recovers(world: World, snapshot: str, data: str) -> None:
    """And then there is nothing to recover."""
    assert world.recover(snapshot)
    world.assert_done(data)
    world.others = True
    with pytest.raises(RecoverError, match="etcd has a leader and takes writes, so there is nothing to recover"):
        world.recover(snapshot)


@pytest.mark.parametrize(("snapshot", "data"), FORMS, ids=["member", "snapshot"])
def test_killed_anywhere_it_completes(new_world: Callable[[], World], snapshot: str, data: str) -> None:
    """Also when it is killed once more, as late as it gets."""
    for step in count():
        world = new_world()
        with KILLER.before(world.root, step) as steps:
            try:
                world.recover(snapshot)
            except Killed as killed:
                note = str(killed)
            else:
                break
        # All who had the cluster's answer see a leader from the moment the new one runs by its usual unit.
        world.others = "etcd.service" in world.units
        if world.others and len(list(world.member.parent.iterdir())) == 1:
            with pytest.raises(RecoverError, match="nothing to recover"):
                world.recover(snapshot)
        else:
            assert world.recover(snapshot), note
        world.assert_done(data)
    assert len(steps) > 10


def test_the_other_form_after_a_killed_one(new_world: Callable[[], World]) -> None:
    """Each begins with what was there before both, not with what the other made of it."""
    for first, second, data in [(SNAPSHOT, "", "one, with all"), ("", SNAPSHOT, "one, of the snapshot")]:
        for step in count():
            world = new_world()
            with KILLER.before(world.root, step):
                try:
                    world.recover(first)
                except Killed:
                    pass
                else:
                    break
            if "etcd.service" in world.units:
                continue
            assert world.recover(second)
            world.assert_done(data)


def test_from_the_member_without_data(world: World) -> None:
    """There is nothing to go on with."""
    shutil.rmtree(world.member)
    with pytest.raises(RecoverError, match="this host has no data of etcd: name another one, or give a snapshot"):
        world.recover()
    assert world.recover(SNAPSHOT)
    world.assert_done("one, of the snapshot")


@pytest.mark.parametrize(
    ("found", "uid", "error"),
    [
        ([THEIRS], OURS, f"the snapshot is of another cluster: its uid is {THEIRS}, this one's {OURS}"),
        ([THEIRS], "", f"the snapshot is of another cluster: its uid is {THEIRS}, this one's {OURS}"),
        ([], OURS, "the snapshot has no cluster in it: no namespace kube-system can be read"),
    ],
)
def test_a_snapshot_of_another_cluster(world: World, found: list[str], uid: str, error: str) -> None:
    """By the control node's record, or else by the data that is there; nothing is changed."""
    world.snapshot(*found)
    world.units = {"etcd.service"}
    with pytest.raises(RecoverError, match=error):
        world.recover(SNAPSHOT, uid)
    world.assert_done("three, with all")


def test_nobody_knows_which_cluster_it_is(world: World) -> None:
    """The user does."""
    shutil.rmtree(world.member)
    with pytest.raises(RecoverError, match=f"if it is {OURS}, write that into the file cluster-uid"):
        world.recover(SNAPSHOT, "")


def test_a_damaged_snapshot(world: World) -> None:
    """Found before anything is changed."""
    world.damaged, world.units = True, {"etcd.service"}
    with pytest.raises(RecoverError, match=r"cannot be restored, and nothing was changed: Error: expected sha256"):
        world.recover(SNAPSHOT)
    world.assert_done("three, with all")


def test_not_installed(world: World) -> None:
    """The error says how to get there."""
    (world.root / "etc/etcd/etcd.yaml").unlink()
    with pytest.raises(RecoverError, match="etcd is not installed on this host"):
        world.recover(SNAPSHOT)


def test_it_does_not_come(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names what was kept."""
    monkeypatch.setattr(World, "data", "three")
    with pytest.raises(RecoverError, match=r"deadline exceeded\. What was there before is in .*/before-restore"):
        world.recover(SNAPSHOT)


def test_check_mode_changes_nothing(world: World) -> None:
    """But it refuses."""
    world.units = {"etcd.service"}
    assert world.recover(SNAPSHOT, check=True)
    world.assert_done("three, with all")


def test_uids_of_a_database(tmp_path: Path) -> None:
    """Pages that are free still have what they had."""
    path = tmp_path / "db"
    assert uids_of(path) == set()
    path.touch()
    assert uids_of(path) == set()
    path.write_bytes(database(OURS, OURS, THEIRS))
    assert uids_of(path) == {OURS, THEIRS}
