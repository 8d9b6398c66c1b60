# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the whole storage has to be: users and their rights, pools, the file system, limits and modules.

`apply` makes it so, `check` says what differs, `clean` waits until every copy of everything is there again.
All monitors' hosts do the same, so none is special; who comes second finds it done.
"""

from __future__ import annotations

import errno
import json
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

try:
    import rados  # type: ignore[import-not-found]
except ImportError:  # Of the distribution, on storage hosts alone.
    rados = None

WANTED = "/etc/ceph/cluster.json"
KEYRING = "/etc/ceph/cluster.keyring"
# A second each: a manager that begins has to say first which options its modules have.
TRIES = 90
CLEAN_SECONDS = 1800
# Commands of a manager's module; all others are monitors'.
SCHEDULE = "fs snap-schedule"
# Ours for each failure domain, and Ceph's own.
RULES = {"by-host", "by-rack", "replicated_rule"}
Command = dict[str, Any]


class Cluster:
    """Monitors of the configuration, asked in a user's name."""

    def __init__(self, name: str, keyring: str) -> None:
        options = {"keyring": keyring, "client_mount_timeout": "30", "rados_mon_op_timeout": "30"}
        self._handle = rados.Rados(name=name, conffile="/etc/ceph/ceph.conf", conf=options)
        self._handle.connect(timeout=30)

    def ask(self, prefix: str, **arguments: Any) -> Any:
        """A question, answered in JSON."""
        return json.loads(self.do({"prefix": prefix, "format": "json", **arguments}) or "null")

    def do(self, command: Command) -> str:
        """A command; what it complains about is an error."""
        given = command.get("given", "").encode()
        words = json.dumps({key: value for key, value in command.items() if key != "given"})
        ask = self._handle.mgr_command if command["prefix"].startswith(SCHEDULE) else self._handle.mon_command
        code, answer, text = ask(words, given, timeout=60)
        if code:
            raise OSError(-code, f"{command['prefix']}: {text.strip() or code}")
        return str(answer.decode())


def users(text: str) -> dict[str, dict[str, Any]]:
    """Users of a keyring with key and rights."""
    found: dict[str, dict[str, Any]] = {}
    for line in text.splitlines():
        if line.startswith("["):
            user = found.setdefault(line.strip("[]"), {"caps": {}})
        elif "=" in line:
            key, value = (part.strip() for part in line.split("=", 1))
            if key.startswith("caps "):
                user["caps"][key[len("caps ") :]] = value.strip('"')
            else:
                user[key] = value
    return found


def state(cluster: Cluster) -> dict[str, Any]:
    """All that is compared, as it is."""
    auth = cluster.ask("auth ls")["auth_dump"]
    return {
        "users": {it["entity"]: {"key": it["key"], "caps": it["caps"]} for it in auth},
        "options": {(it["section"], it["name"]): it["value"] for it in cluster.ask("config dump")},
        "modules": cluster.ask("mgr module ls")["enabled_modules"],
        "rules": {it["rule_name"]: it["rule_id"] for it in cluster.ask("osd crush rule dump")},
        "tree": cluster.ask("osd tree")["nodes"],
        "osd": cluster.ask("osd dump"),
        "fs": cluster.ask("fs dump")["filesystems"],
        "schedules": schedules(cluster),
    }


def schedules(cluster: Cluster) -> list[dict[str, Any]] | None:
    """Of snapshots of the whole file system; None while the module cannot say."""
    try:
        found: list[dict[str, Any]] = cluster.ask(f"{SCHEDULE} status", path="/")
    except OSError as error:
        return [] if error.errno == errno.ENOENT else None
    return found


def differences(wanted: Mapping[str, Any], keyring: str, found: Mapping[str, Any]) -> Iterator[tuple[str, Command]]:
    """What is not as wanted, in words, each with the command that makes it so."""
    # Of monitors' own key there is no user.
    given = {user: it for user, it in users(keyring).items() if user != "mon."}
    if other := [user for user, it in given.items() if found["users"].get(user) != it]:
        yield f"users {', '.join(other)}", {"prefix": "auth import", "given": keyring}
    yield from _settings(wanted, found)
    rule = f"by-{wanted['failure_domain']}"
    if rule not in found["rules"]:
        place = {"name": rule, "root": "default", "type": wanted["failure_domain"]}
        yield f"rule {rule}", {"prefix": "osd crush rule create-replicated", **place}
    yield from _racks(wanted["racks"], found["tree"])
    places = [it for it in found["tree"] if it["type"] == wanted["failure_domain"] and it["children"]]
    pools = {it["pool_name"]: it for it in found["osd"]["pools"]}
    by = {identity: name for name, identity in found["rules"].items()}
    for name, options in wanted["pools"].items():
        if name in pools:
            yield from _pool(name, options, pools[name])
            # Not before each copy has a place by that rule: what has none cannot be read. Somebody's own rule stays.
            if by.get(pools[name]["crush_rule"]) in RULES - {rule} and len(places) >= options["size"]:
                command = {"prefix": "osd pool set", "pool": name, "var": "crush_rule", "val": rule}
                yield f"rule of pool {name}", command
        else:
            new = {"pool": name, "pool_type": "replicated", "rule": rule, "autoscale_mode": "on"}
            yield f"pool {name}", {"prefix": "osd pool create", **new, "size": options["size"]}
    yield from _file_system(wanted["file_system"], found["fs"], set(wanted["pools"]) <= pools.keys())
    yield from _snapshots(wanted["snapshots"], found["schedules"])


def _snapshots(wanted: Mapping[str, Any], found: list[dict[str, Any]] | None) -> Iterator[tuple[str, Command]]:
    """How often one is made, and which are kept; a file system that has just begun is asked about later."""
    every, keep = wanted["every"], wanted["keep"]
    if found is None:
        if every:
            yield "schedule of snapshots", {"prefix": f"{SCHEDULE} status", "path": "/"}
        return
    there = {it["schedule"]: it["retention"] for it in found}
    if there and (list(there) != [every] or there[every] != keep):
        yield "old schedule of snapshots", {"prefix": f"{SCHEDULE} remove", "path": "/"}
    elif every and not there:
        yield "schedule of snapshots", {"prefix": f"{SCHEDULE} add", "path": "/", "snap_schedule": every}
        text = "".join(f"{count}{unit}" for unit, count in keep.items())
        new = {"path": "/", "retention_spec_or_period": text}
        yield "age of snapshots", {"prefix": f"{SCHEDULE} retention add", **new}


def _settings(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[tuple[str, Command]]:
    """Options of the configuration that monitors keep; then modules, which read them when they begin; limits."""
    missing = [
        (section, name, value)
        for section, options in wanted["options"].items()
        for name, value in options.items()
        if found["options"].get((section, name)) != value
    ]
    for section, name, value in missing:
        yield f"{name} of {section}", {"prefix": "config set", "who": section, "name": name, "value": value}
    for module in wanted["modules"] if not missing else ():
        if module not in found["modules"]:
            yield f"module {module}", {"prefix": "mgr module enable", "module": module}
    for ratio, value in wanted["ratios"].items():
        if abs(found["osd"][f"{ratio}_ratio"] - value) > 1e-6:
            yield f"{ratio} ratio", {"prefix": f"osd set-{ratio}-ratio", "ratio": value}


def _racks(wanted: Mapping[str, str], tree: list[dict[str, Any]]) -> Iterator[tuple[str, Command]]:
    """Where hosts are; an OSD that starts says so, too, but of a host that is known already nobody listens."""
    there = {child: it["name"] for it in tree if it["type"] == "rack" for child in it["children"]}
    for it in tree:
        rack = wanted.get(it["name"], "") if it["type"] == "host" else ""
        if rack and there.get(it["id"]) != rack:
            args = ["root=default", f"rack={rack}"]
            yield f"rack of {it['name']}", {"prefix": "osd crush move", "name": it["name"], "args": args}


def _pool(name: str, options: Mapping[str, Any], pool: Mapping[str, Any]) -> Iterator[tuple[str, Command]]:
    there = {"size": pool["size"], "min_size": pool["min_size"], "bulk": "bulk" in pool["flags_names"].split(",")}
    for key, value in options.items():
        if there[key] != value:
            text = str(value).lower()
            yield f"{key} of pool {name}", {"prefix": "osd pool set", "pool": name, "var": key, "val": text}


def _file_system(
    wanted: Mapping[str, Any], found: list[dict[str, Any]], has_pools: bool
) -> Iterator[tuple[str, Command]]:
    name = wanted["name"]
    maps = {it["mdsmap"]["fs_name"]: it["mdsmap"] for it in found}
    if name not in maps:
        if has_pools:
            pools = {"metadata": wanted["metadata"], "data": wanted["data"]}
            yield f"file system {name}", {"prefix": "fs new", "fs_name": name, **pools}
        return
    there = maps[name]
    settings = {
        "session_timeout": there["session_timeout"],
        "allow_standby_replay": there["flags_state"]["allow_standby_replay"]
        if "flags_state" in there
        else bool(there["flags"] & 32),
    }
    for key, value in wanted["settings"].items():
        if settings[key] != value:
            text = str(value).lower()
            yield f"{key} of {name}", {"prefix": "fs set", "fs_name": name, "var": key, "val": text}


def apply(cluster: Cluster, wanted: Mapping[str, Any], keyring: str) -> None:
    """Until nothing differs: some steps need others, and other hosts do the same meanwhile."""
    complaints: list[str] = []
    for _ in range(TRIES):
        todo = list(differences(wanted, keyring, state(cluster)))
        if not todo:
            return
        complaints = [complaint for what, command in todo if (complaint := attempt(cluster, what, command))]
        time.sleep(1)
    sys.exit("; ".join(complaints or ["settings do not stay as they shall be: does another host have other ones?"]))


def attempt(cluster: Cluster, what: str, command: Command) -> str:
    """Do one thing and say so; answers with what is wrong."""
    try:
        cluster.do(command)
    except OSError as error:
        return f"{what}: {error}"
    sys.stdout.write(f"made {what}\n")
    return ""


def check(cluster: Cluster, wanted: Mapping[str, Any], keyring: str) -> None:
    """Settings are as wanted, and somebody serves the file system."""
    found = state(cluster)
    wrong = [f"{what} is not as it shall be" for what, _ in differences(wanted, keyring, found)]
    for it in (it["mdsmap"] for it in found["fs"]):
        states = [info["state"] for info in it["info"].values()]
        if "up:active" not in states:
            wrong.append(
                f"no mds is active for the file system {it['fs_name']} ({', '.join(states) or 'none is there'})"
            )
    if wrong:
        sys.exit("; ".join(wrong))


def unclean(status: Mapping[str, Any]) -> str:
    """What keeps another host from being taken out; empty when every copy is there and all OSDs are up."""
    osds, pgs = status["osdmap"], status["pgmap"]
    if osds["num_up_osds"] < osds["num_in_osds"]:
        return f"{osds['num_in_osds'] - osds['num_up_osds']} OSD(s) are down"
    well = sum(it["count"] for it in pgs["pgs_by_state"] if it["state_name"].startswith("active+clean"))
    return "" if well == pgs["num_pgs"] else f"{pgs['num_pgs'] - well} placement groups lack a copy"


def clean(cluster: Cluster) -> None:
    """Wait; recovery of a large disk takes its time."""
    deadline = time.monotonic() + CLEAN_SECONDS
    while complaint := unclean(cluster.ask("status")):
        if time.monotonic() > deadline:
            sys.exit(f"storage did not get whole within {CLEAN_SECONDS} s: {complaint}; ask `ceph health detail`")
        time.sleep(1)


def main(what: str) -> None:
    """As root on a storage host; `clean` in the name of somebody who may only look."""
    try:
        if what == "clean":
            clean(Cluster("client.health", "/etc/ceph/ceph.client.health.keyring"))
            return
        with open(WANTED, encoding="utf-8") as stream:
            wanted = json.load(stream)
        with open(KEYRING, encoding="utf-8") as stream:
            keyring = stream.read()
        cluster = Cluster("client.admin", KEYRING)
        {"apply": apply, "check": check}[what](cluster, wanted, keyring)
    except (OSError, rados.Error) as error:
        sys.exit(f"storage: {error}")


if __name__ == "__main__":
    main(sys.argv[1])
