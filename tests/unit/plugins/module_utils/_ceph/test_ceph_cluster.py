# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of monitors, from what they say; a monitor that is a dictionary takes the commands."""

from __future__ import annotations

import base64
import json
import re
import socket
import struct
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.filter.config import ceph_keyring
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._ceph import cluster, daemon, osd

USERS = {
    "mon.": {"mon": "allow *"},
    "client.admin": {"mon": "allow *", "osd": "allow *"},
    "mgr.s1": {"mon": "allow profile mgr"},
}
KEYRING = ceph_keyring(USERS, "secret")
WANTED = {
    "failure_domain": "host",
    "racks": {},
    "options": {"mgr": {"mgr/prometheus/server_addr": "127.0.0.1"}},
    "modules": ["prometheus", "snap_schedule"],
    "ratios": {"nearfull": 0.75},
    "pools": {"meta": {"size": 3, "min_size": 2, "bulk": False}, "data": {"size": 3, "min_size": 2, "bulk": True}},
    "file_system": {
        "name": "shared",
        "metadata": "meta",
        "data": "data",
        "settings": {"allow_standby_replay": True, "session_timeout": 30},
    },
    "snapshots": {"every": "1h", "keep": {"h": 24, "d": 7}},
}


class Monitors(cluster.Cluster):
    """As much of a storage as the program looks at; a command changes it as Ceph does."""

    def __init__(self) -> None:
        self.auth: list[dict[str, Any]] = []
        self.options: list[dict[str, str]] = []
        self.modules: list[str] = []
        self.rules: list[str] = ["replicated_rule"]
        # Three hosts with a disk each, in no rack.
        self.tree: list[dict[str, Any]] = [
            {"id": -1, "type": "root", "name": "default", "children": [-2, -3, -4]},
            *({"id": -it - 1, "type": "host", "name": f"s{it}", "children": [it]} for it in (1, 2, 3)),
        ]
        self.pools: list[dict[str, Any]] = []
        self.filesystems: list[dict[str, Any]] = []
        self.nearfull = 0.85
        self.schedules: list[dict[str, Any]] = []
        self.done: list[str] = []

    def ask(self, prefix: str, **_arguments: Any) -> Any:
        """What the program asks for."""
        if prefix == "fs snap-schedule status":
            self.fs_snap_schedule_status({})
            return self.schedules
        return {
            "auth ls": {"auth_dump": self.auth},
            "config dump": self.options,
            "mgr module ls": {"enabled_modules": self.modules},
            "osd crush rule dump": [{"rule_name": name, "rule_id": it} for it, name in enumerate(self.rules)],
            "osd tree": {"nodes": self.tree},
            "osd dump": {"pools": self.pools, "nearfull_ratio": self.nearfull},
            "fs dump": {"filesystems": self.filesystems},
        }[prefix]

    def do(self, command: dict[str, Any]) -> str:
        """One of its commands."""
        self.done.append(command["prefix"])
        getattr(self, command["prefix"].replace(" ", "_").replace("-", "_"))(command)
        return ""

    def auth_import(self, command: dict[str, Any]) -> None:
        """As `auth import`."""
        self.auth = [{"entity": name, **it} for name, it in cluster.users(command["given"]).items() if name != "mon."]

    def config_set(self, it: dict[str, Any]) -> None:
        """As `config set`."""
        self.options.append({"section": it["who"], "name": it["name"], "value": it["value"]})

    def mgr_module_enable(self, it: dict[str, Any]) -> None:
        """As `mgr module enable`."""
        assert self.options, "a module reads its options when it begins"
        self.modules.append(it["module"])

    def osd_set_nearfull_ratio(self, it: dict[str, Any]) -> None:
        """As `osd set nearfull ratio`."""
        self.nearfull = it["ratio"]

    def osd_crush_rule_create_replicated(self, it: dict[str, Any]) -> None:
        """As `osd crush rule create replicated`."""
        self.rules.append(it["name"])

    def osd_crush_move(self, it: dict[str, Any]) -> None:
        """As `osd crush move`, which makes a rack that is not there."""
        (host,) = (node for node in self.tree if node["name"] == it["name"])
        for node in self.tree:
            node["children"] = [child for child in node["children"] if child != host["id"]]
        root, rack = (place.split("=")[1] for place in it["args"])
        assert root == "default"
        if rack not in [node["name"] for node in self.tree]:
            self.tree.append({"id": -10 - len(self.tree), "type": "rack", "name": rack, "children": []})
        (there,) = (node for node in self.tree if node["name"] == rack)
        there["children"].append(host["id"])

    def osd_pool_create(self, it: dict[str, Any]) -> None:
        """As `osd pool create`."""
        new = {"pool_name": it["pool"], "size": it["size"], "min_size": 1, "flags_names": "hashpspool"}
        self.pools.append({**new, "crush_rule": self.rules.index(it["rule"])})

    def osd_pool_set(self, it: dict[str, Any]) -> None:
        """As `osd pool set`."""
        (pool,) = (pool for pool in self.pools if pool["pool_name"] == it["pool"])
        if it["var"] == "bulk":
            pool["flags_names"] = "hashpspool,bulk" if it["val"] == "true" else "hashpspool"
        elif it["var"] == "crush_rule":
            racks = [node for node in self.tree if node["type"] == "rack" and node["children"]]
            assert it["val"] == "by-host" or len(racks) >= pool["size"], "nothing could be read any more"
            pool["crush_rule"] = self.rules.index(it["val"])
        else:
            pool[it["var"]] = int(it["val"])

    def fs_new(self, it: dict[str, Any]) -> None:
        """As `fs new`."""
        if len(self.pools) < 2:
            raise OSError(2, "pool 'data' does not exist")
        mdsmap = {"fs_name": it["fs_name"], "session_timeout": 60, "flags": 18, "info": {}}
        self.filesystems.append({"mdsmap": mdsmap})

    def fs_set(self, it: dict[str, Any]) -> None:
        """As `fs set`."""
        mdsmap = self.filesystems[0]["mdsmap"]
        if it["var"] == "allow_standby_replay":
            mdsmap["flags"] |= 32
        else:
            mdsmap[it["var"]] = int(it["val"])

    def fs_snap_schedule_status(self, _command: dict[str, Any]) -> None:
        """As `fs snap-schedule status`, whose module needs a file system."""
        if "snap_schedule" not in self.modules or not self.filesystems:
            raise OSError(95, "Module 'snap_schedule' is not enabled")
        if not self.schedules:
            raise OSError(2, "No schedule found for path /")

    def fs_snap_schedule_add(self, it: dict[str, Any]) -> None:
        """As `fs snap-schedule add`."""
        self.schedules.append({"path": it["path"], "schedule": it["snap_schedule"], "retention": {}})

    def fs_snap_schedule_retention_add(self, it: dict[str, Any]) -> None:
        """As `fs snap-schedule retention add`."""
        found = re.findall(r"(\d+)([a-z])", it["retention_spec_or_period"])
        self.schedules[0]["retention"] = {unit: int(count) for count, unit in found}

    def fs_snap_schedule_remove(self, _command: dict[str, Any]) -> None:
        """As `fs snap-schedule remove`."""
        self.schedules.clear()


@pytest.fixture
def monitors(monkeypatch: pytest.MonkeyPatch) -> Monitors:
    """A storage that has nothing yet."""
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    return Monitors()


def test_everything_is_made_once(monitors: Monitors) -> None:
    """From nothing to what is wanted; the second time there is nothing to do."""
    cluster.apply(monitors, WANTED, KEYRING)
    assert [it["pool_name"] for it in monitors.pools] == ["meta", "data"]
    assert {it["entity"] for it in monitors.auth} == {"client.admin", "mgr.s1"}
    done = list(monitors.done)
    cluster.apply(monitors, WANTED, KEYRING)
    assert monitors.done == done


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda it: it.pools[1].update(size=2), "size of pool data"),
        (lambda it: it.pools[1].update(flags_names="hashpspool"), "bulk of pool data"),
        (lambda it: it.pools[0].update(min_size=1), "min_size of pool meta"),
        (lambda it: it.pools[1].update(crush_rule=0), "rule of pool data"),
        (lambda it: it.auth[1].update(caps={"mon": "allow *"}), "users mgr.s1"),
        (lambda it: it.auth.pop(), "users mgr.s1"),
        (lambda it: setattr(it, "nearfull", 0.85), "nearfull ratio"),
        (lambda it: it.modules.remove("prometheus"), "module prometheus"),
        (lambda it: it.filesystems[0]["mdsmap"].update(session_timeout=60), "session_timeout of shared"),
    ],
)
def test_what_somebody_changed_is_named_and_put_right(monitors: Monitors, break_it: Any, said: str) -> None:
    """One difference, named as such, and one command against it."""
    cluster.apply(monitors, WANTED, KEYRING)
    monitors.filesystems[0]["mdsmap"]["info"] = {"gid_1": {"state": "up:active"}}
    cluster.check(monitors, WANTED, KEYRING)
    break_it(monitors)
    with pytest.raises(SystemExit) as caught:
        cluster.check(monitors, WANTED, KEYRING)
    assert caught.value.code == f"{said} is not as it shall be"
    monitors.done.clear()
    cluster.apply(monitors, WANTED, KEYRING)
    assert len(monitors.done) == 1
    cluster.check(monitors, WANTED, KEYRING)


def test_a_rule_of_somebodys_own_stays(monitors: Monitors) -> None:
    """By device class, for example."""
    cluster.apply(monitors, WANTED, KEYRING)
    monitors.rules.append("on-ssd")
    monitors.pools[1].update(crush_rule=len(monitors.rules) - 1)
    monitors.done.clear()
    cluster.apply(monitors, WANTED, KEYRING)
    assert monitors.done == []


def test_another_failure_domain(monitors: Monitors) -> None:
    """Hosts go to their racks, then pools take the rule; a host that is in another rack goes there, too, and back."""
    cluster.apply(monitors, WANTED, KEYRING)
    racks = {"s1": "r1", "s2": "r2", "s3": "r3"}
    wanted = {**WANTED, "failure_domain": "rack", "racks": racks}
    assert [what for what, _ in cluster.differences(wanted, KEYRING, cluster.state(monitors))] == [
        "rule by-rack",
        *("rack of s1", "rack of s2", "rack of s3"),
    ]
    cluster.apply(monitors, wanted, KEYRING)
    assert {monitors.rules[it["crush_rule"]] for it in monitors.pools} == {"by-rack"}
    cluster.apply(monitors, {**wanted, "racks": {**racks, "s3": "r4"}}, KEYRING)
    assert [it["name"] for it in monitors.tree if it["type"] == "rack" and it["children"]] == ["r1", "r2", "r4"]
    cluster.apply(monitors, WANTED, KEYRING)
    assert {monitors.rules[it["crush_rule"]] for it in monitors.pools} == {"by-host"}


def test_pools_keep_a_rule_by_which_they_can_be_read(monitors: Monitors) -> None:
    """While there are fewer racks with disks than copies, as before new hosts have theirs."""
    cluster.apply(monitors, WANTED, KEYRING)
    wanted = {**WANTED, "failure_domain": "rack", "racks": {"s1": "r1", "s2": "r1", "s3": "r2", "s4": "r3"}}
    cluster.apply(monitors, wanted, KEYRING)
    assert {monitors.rules[it["crush_rule"]] for it in monitors.pools} == {"by-host"}
    monitors.tree.append({"id": -5, "type": "host", "name": "s4", "children": [4]})
    cluster.apply(monitors, wanted, KEYRING)
    assert {monitors.rules[it["crush_rule"]] for it in monitors.pools} == {"by-rack"}


@pytest.mark.parametrize("every", ["1h", ""])
def test_snapshots_are_made_as_often_as_wanted(monitors: Monitors, every: str) -> None:
    """Another schedule is replaced, one that was begun is finished, none is wanted: it goes."""
    wanted = {**WANTED, "snapshots": {"every": every, "keep": {"h": 24, "d": 7}}}
    cluster.apply(monitors, WANTED, KEYRING)
    for there in ({"schedule": "3h", "retention": {"h": 1}}, {"schedule": "1h", "retention": {}}):
        monitors.schedules = [{"path": "/", **there}]
        cluster.apply(monitors, wanted, KEYRING)
        assert monitors.schedules == (
            [{"path": "/", "schedule": "1h", "retention": {"h": 24, "d": 7}}] if every else []
        )


def test_a_file_system_that_nobody_serves_is_not_well(monitors: Monitors) -> None:
    """Settings alone carry no data."""
    cluster.apply(monitors, WANTED, KEYRING)
    monitors.filesystems[0]["mdsmap"]["info"] = {"gid_1": {"state": "up:replay"}}
    with pytest.raises(SystemExit, match=r"no mds is active for the file system shared \(up:replay\)"):
        cluster.check(monitors, WANTED, KEYRING)


def test_what_cannot_be_made_is_said(monitors: Monitors, monkeypatch: pytest.MonkeyPatch) -> None:
    """After some tries, with Ceph's own words."""

    def refuse(_command: dict[str, Any]) -> None:
        raise OSError(22, "pool size is too large")

    monkeypatch.setattr(monitors, "osd_pool_create", refuse)
    with pytest.raises(SystemExit, match=r"pool meta: .*pool size is too large"):
        cluster.apply(monitors, WANTED, KEYRING)


@pytest.mark.parametrize(
    ("up", "clean", "said"),
    [(3, 33, ""), (2, 33, "1 OSD(s) are down"), (3, 30, "3 placement groups lack a copy")],
)
def test_no_host_is_taken_out_while_a_copy_is_missing(up: int, clean: int, said: str) -> None:
    """Every OSD that counts is up, and every placement group has all its copies, also one that is compared just now."""
    states = [{"state_name": "active+clean", "count": clean - 1}, {"state_name": "active+clean+scrubbing", "count": 1}]
    status = {"osdmap": {"num_up_osds": up, "num_in_osds": 3}, "pgmap": {"pgs_by_state": states, "num_pgs": 33}}
    assert cluster.unclean(status) == said


def test_keys_are_ceph_keys_and_each_users_own() -> None:
    """A header of 12 bytes that says AES and 16, then 16 bytes; the same for the same secret, another for another."""
    users = cluster.users(KEYRING)
    keys = [osd_key(it["key"]) for it in users.values()]
    assert len(set(keys)) == len(users)
    assert users["client.admin"]["caps"] == USERS["client.admin"]
    assert ceph_keyring(USERS, "secret\nthe next one\n") == KEYRING
    assert ceph_keyring(USERS, "another") != KEYRING
    assert ceph_keyring(USERS, "secret", "mgr.s1").splitlines()[0] == "[mgr.s1]"


def osd_key(text: str) -> bytes:
    """The secret in a key."""
    kind, _, _, length = struct.unpack("<HIIH", (raw := base64.b64decode(text))[:12])
    assert (kind, length, len(raw)) == (1, 16, 28)
    return raw[12:]


@pytest.mark.parametrize(("state", "said"), [("leader", ""), ("probing", "its state is probing")])
def test_a_daemon_says_how_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str, said: str) -> None:
    """On its socket, as Ceph's daemons speak there."""
    monkeypatch.setattr(daemon, "SOCKETS", str(tmp_path))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "ceph-mon.s1.asok"))
        server.listen()

        def answer() -> None:
            sock, _ = server.accept()
            with sock:
                assert json.loads(sock.recv(1024).rstrip(b"\0")) == {"prefix": "mon_status"}
                text = json.dumps({"state": state}).encode()
                sock.sendall(struct.pack(">I", len(text)) + text)

        thread = threading.Thread(target=answer)
        thread.start()
        assert daemon.complaint("mon", "s1") == said
        thread.join()


def test_a_daemon_that_is_away_is_not_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither its socket nor, of an OSD, its number."""
    monkeypatch.setattr(daemon, "SOCKETS", str(tmp_path))
    monkeypatch.setattr(daemon, "OSDS", str(tmp_path))
    assert daemon.complaint("mon", "s1").startswith("its socket does not answer")
    assert daemon.complaint("osd", "file0").startswith("its socket does not answer")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", ""),
        (b"\0" * 5000, ""),
        (b"bluestore block device\n5b6b\n", "this OSD"),
        (b"bluestore block device\n7777\n", "another OSD"),
        (b"\0" * 1024 + b"\x53\xef", "data"),
    ],
)
def test_what_is_on_a_disk_is_seen(tmp_path: Path, content: bytes, found: str) -> None:
    """Only what is empty, or this very OSD, may be used."""
    (disk := tmp_path / "disk").write_bytes(content)
    assert osd.holds(str(disk), "5b6b") == found
