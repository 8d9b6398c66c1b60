# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a member of etcd begins, on an etcd of this file that refuses what the real one refuses."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

SCRIPT = Path(__file__).resolve().parents[3] / "roles/etcd/templates/usr/local/libexec/etcd-join.j2"
CONFIG = "name: m3\ninitial-cluster-state: existing\npeer-transport-security:\n    client-cert-auth: true\n"
INITIAL = "m1=https://m1:2380,m2=https://m2:2380,m3=https://m3:2380"
UID = "3b0f6b1e-0000-4000-8000-000000000001"
Document = dict[str, Any]


class Killed(BaseException):
    """Like SIGKILL: nothing of the script handles it."""


def member(number: int, *, started: bool = True, learner: bool = False, name: str | None = None) -> Document:
    """A member as etcdctl lists it; what never started has no client URL."""
    entry: Document = {"ID": 0xA0 + number, "peerURLs": [f"https://m{number}:2380"]}
    if name or started:
        entry["name"] = name or f"m{number}"
    if started:
        entry["clientURLs"] = [f"https://m{number}:2379"]
    return entry | ({"isLearner": True} if learner else {})


class World:
    """A host m3, and an etcd of others."""

    def __init__(self, folder: Path) -> None:
        self.wal = folder / "member/wal"
        self.config, self.environment = folder / "first.yaml", folder / "first.env"
        self.members: list[Document] | None = None
        self.majority = True
        self.running = False
        # How long each of these is refused: what another host, or the learner's copying, needs.
        self.busy, self.behind = 0, 2
        self.asked: list[tuple[str, int]] = []
        self.calls: list[str] = []
        self.began_with = ""
        self.kill_before = -1

    def run(self, argv: Sequence[str], **_options: Any) -> subprocess.CompletedProcess[str]:
        """In place of subprocess.run."""
        words = [word for word in argv[1:] if not word.startswith(("--endpoints", "--write", "--dial", "--command"))]
        if len(self.calls) == self.kill_before:
            raise Killed
        self.calls.append(" ".join(words))
        answer = self.systemctl(words) if argv[0] == "systemctl" else self.etcdctl(list(argv), words)
        code, text = (0, json.dumps(answer)) if isinstance(answer, dict) else (1, answer)
        return subprocess.CompletedProcess(argv, code, text if code == 0 else "", "a log\nError: " + text)

    def connect(self, where: tuple[str, int], _seconds: float) -> Mock:
        """In place of socket.create_connection."""
        self.asked.append(where)
        if self.members is None:
            raise ConnectionRefusedError
        return Mock()

    def systemctl(self, words: list[str]) -> Document:
        """The unit, which makes its WAL where it can begin."""
        self.running = words[0] == "start"
        if self.running and not self.wal.exists() and self.environment.exists():
            assert self.environment.read_text() == f"CONFIG={self.config}\n"
            self.began_with = self.config.read_text()
            self.wal.mkdir(parents=True)
            for entry in self.members or []:
                if entry["peerURLs"] == ["https://m3:2380"] and "existing" in self.began_with:
                    entry |= {"name": "m3", "clientURLs": ["https://m3:2379"]}
        return {}

    def etcdctl(self, argv: list[str], words: list[str]) -> Document | str:
        """What etcd answers, or why not."""
        assert "https://m3:2379" not in argv[1]
        if self.members is None:
            return "context deadline exceeded"
        if words[:2] == ["member", "list"] and "--consistency=s" in words:
            assert "," not in argv[1]  # A list of endpoints would hide which one answers.
            return {"members": self.members}
        if not self.majority:
            return "etcdserver: no leader"
        return {"list": self.all, "remove": self.remove, "add": self.add, "promote": self.promote}[words[1]](words)

    def all(self, _words: list[str]) -> Document:
        """All."""
        return {"members": self.members}

    def remove(self, words: list[str]) -> Document | str:
        """One; in tests `busy` says that the rest is no majority yet."""
        assert self.members is not None
        if self.busy:
            self.busy -= 1
            return "etcdserver: re-configuration failed due to not enough started members"
        self.members = [entry for entry in self.members if f"{entry['ID']:x}" != words[2]]
        return {}

    def add(self, words: list[str]) -> Document | str:
        """A learner, while there is no other."""
        assert self.members is not None
        assert words[2:] == ["m3", "--learner", "--peer-urls=https://m3:2380"]
        if self.busy:
            self.busy -= 1
            return "etcdserver: too many learner members in cluster"
        self.members.append(member(9, started=False, learner=True) | {"peerURLs": ["https://m3:2380"]})
        return {}

    def promote(self, words: list[str]) -> Document | str:
        """One that runs and has all data."""
        assert self.members is not None
        (own,) = [entry for entry in self.members if f"{entry['ID']:x}" == words[2]]
        if not self.running or not own.get("clientURLs") or self.behind:
            self.behind -= bool(self.behind)
            return "etcdserver: can only promote a learner member which is in sync with leader"
        del own["isLearner"]
        return {}

    def own(self) -> Document:
        """This host's entry."""
        assert self.members is not None
        (own,) = [entry for entry in self.members if entry["peerURLs"] == ["https://m3:2380"]]
        return own


Start = Callable[..., str]


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A host where etcd never ran."""
    return World(tmp_path)


@pytest.fixture
def start(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    """Run the script; its error, empty when it ended well."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader = SourceFileLoader("etcd_join", str(SCRIPT))
    spec = spec_from_loader("etcd_join", loader)
    assert spec
    script = module_from_spec(spec)
    loader.exec_module(script)
    (tmp_path / "etcd.yaml").write_text(CONFIG)
    names = {"WAL": world.wal, "CONFIG": tmp_path / "etcd.yaml"}
    names |= {"FIRST_CONFIG": world.config, "FIRST_ENVIRONMENT": world.environment}
    for name, path in names.items():
        monkeypatch.setattr(script, name, str(path))
    clock = itertools.count()
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    monkeypatch.setattr("subprocess.run", world.run)
    monkeypatch.setattr("socket.create_connection", world.connect)

    def run(uid: str = "", endpoints: str = "https://m1:2379,https://m2:2379,https://m3:2379") -> str:
        options = ["--name=m3", "--peer-url=https://m3:2380", "--own-endpoint=https://m3:2379"]
        options += [f"--endpoints={endpoints}", f"--initial-cluster={INITIAL}", f"--cluster-uid={uid}"]
        monkeypatch.setattr(sys, "argv", ["etcd-join", *options, "--cluster-uid-file=/state/cluster-uid"])
        try:
            script.main()
        except SystemExit as end:
            return str(end.code)
        return ""

    return run


def test_a_new_cluster(world: World, start: Start) -> None:
    """Nobody answers, and nobody knows of one."""
    assert start() == ""
    assert world.began_with == CONFIG.replace("initial-cluster-state: existing\n", "") + (
        f"initial-cluster: '{INITIAL}'\ninitial-cluster-state: 'new'\n"
    )
    assert world.running
    assert not world.environment.exists()
    assert not world.config.exists()


def test_a_cluster_that_exists_is_not_begun_again(world: World, start: Start) -> None:
    """The control node knows it; what to do is said, and nothing was started."""
    error = start(UID)
    assert error.startswith(
        "the cluster exists (/state/cluster-uid of the control node has its uid), but none of its members answers "
        "(https://m1:2379, https://m2:2379), and another one is not begun by mistake."
    )
    assert "recover_quorum.yml" in error
    assert "remove /state/cluster-uid" in error
    assert not world.running
    assert world.asked[:3] == [("m1", 2379), ("m2", 2379), ("m1", 2379)]  # It is given time to come back.
    assert "but its data is gone, and" in start(UID, "https://m3:2379")


def test_joins_as_a_learner_and_ends_as_a_voter(world: World, start: Start) -> None:
    """With the members that etcd knows, in whatever way the inventory calls them."""
    world.members = [member(1), member(2, name="old-name")]
    assert start(UID) == ""
    assert world.began_with.endswith(
        "initial-cluster: 'm1=https://m1:2380,old-name=https://m2:2380,m3=https://m3:2380'\n"
        "initial-cluster-state: 'existing'\n"
    )
    assert world.own() == {**member(3), "ID": 0xA9}
    assert not world.environment.exists()


def test_waits_for_another_that_joins(world: World, start: Start) -> None:
    """One learner at a time."""
    world.members, world.busy = [member(1), member(2, learner=True)], 5
    assert start(UID) == ""
    assert world.calls.count("member add m3 --learner --peer-urls=https://m3:2380") == 6
    assert "isLearner" not in world.own()


@pytest.mark.parametrize("learner", [False, True])
def test_takes_the_place_that_waits_for_it(world: World, start: Start, learner: bool) -> None:
    """A member that never started: of a cluster that is just beginning, or added by a run that was killed."""
    world.members = [member(1), member(2), member(3, started=False, learner=learner)]
    assert start() == ""
    assert not [call for call in world.calls if call.startswith(("member add", "member remove"))]
    assert world.own() == member(3)


@pytest.mark.parametrize("learner", [False, True])
def test_a_member_whose_disk_is_empty_is_another_one(world: World, start: Start, learner: bool) -> None:
    """As soon as etcd lets the old one go."""
    world.members, world.busy = [member(1), member(2), member(3, learner=learner)], 2
    assert start(UID) == ""
    assert world.calls.count("member remove a3") == 3
    assert world.own() == {**member(3), "ID": 0xA9}


def test_data_is_there(world: World, start: Start) -> None:
    """A run was killed after etcd had begun: it is started as it is, here by itself."""
    world.wal.mkdir(parents=True)
    assert start() == ""
    assert (world.running, world.began_with) == (True, "")


def test_data_of_a_learner_is_there(world: World, start: Start) -> None:
    """It still becomes a voter."""
    world.members = [member(1), member(2), member(3, learner=True)]
    world.wal.mkdir(parents=True)
    assert start(UID) == ""
    assert "isLearner" not in world.own()
    assert world.began_with == ""


def test_data_of_a_member_that_was_removed(world: World, start: Start) -> None:
    """It is not deleted without being asked."""
    world.members = [member(1), member(2)]
    world.wal.mkdir(parents=True)
    assert start(UID).endswith("if m3 shall be in it, run replace_etcd_member.yml -e node=m3")
    assert world.wal.is_dir()
    assert not world.running


@pytest.mark.parametrize(
    ("behind", "busy", "majority", "error"),
    [
        (9999, 0, True, "m3 is a learner of etcd and does not get in sync: Error: etcdserver: can only promote"),
        (0, 9999, True, "m3 cannot be added to etcd: Error: etcdserver: too many learner members"),
        (0, 0, False, "etcd answers, but a majority of its members does not."),
    ],
)
def test_time_is_limited(world: World, start: Start, behind: int, busy: int, majority: bool, error: str) -> None:
    """The error has etcd's own words; an added learner is no harm, and the next run goes on."""
    world.members, world.behind, world.busy, world.majority = [member(1), member(2)], behind, busy, majority
    assert start(UID).startswith(error)
    world.behind, world.busy, world.majority = 0, 0, True
    assert start(UID) == ""
    assert "isLearner" not in world.own()


def cases() -> dict[str, list[Document] | None]:
    """Clusters that a host may meet, with the place that they have for it."""
    others = [member(1), member(2)]
    return {
        "new": None,
        "not in it": others,
        "disk lost": [*others, member(3)],
        "added": [*others, member(3, started=False, learner=True)],
    }


@pytest.mark.parametrize("case", cases())
def test_killed_anywhere_it_completes(world: World, start: Start, case: str) -> None:
    """Before each of its steps; there is never a second entry of the host, nor a voter that did not run."""
    for step in itertools.count():
        shutil.rmtree(world.wal.parent, ignore_errors=True)
        world.running, world.behind, world.calls, world.kill_before = False, 2, [], step
        world.members = cases()[case]
        try:
            assert start() == ""
        except Killed:
            world.calls, world.kill_before = [], -1
            assert start() == ""
        else:
            break
        assert world.running
        assert not world.environment.exists()
        if world.members is not None:
            assert len(world.members) == 3
            assert "isLearner" not in world.own()
    assert step >= (1 if case == "new" else 4)
