# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""etcd: leader, members, alarms, and the size of its database."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .model import NOT_ASKED, SITE_THERE, Area, Seen, mib, names, well

QUOTA_PAGE = "docs/operations/etcd-quota.md"
RECOVER_PAGE = "docs/operations/recover-quorum.md (recover_quorum.yml)"
REPLACE = "ansible-playbook … replace_etcd_member.yml -e node={hosts}"
# From 95 on etcd's own rules of alerting call it critical.
QUOTA_WARNING, QUOTA_FAILURE = 60, 95
# Below that size, space that is free within the file is not worth a defragmentation.
FRAGMENTED_BYTES, IN_USE_PERCENT = 100 * 2**20, 50
# A member that is further behind gets a whole snapshot instead of what it missed (etcd's snapshot-catchup-entries).
LAG_ENTRIES = 5000
NO_LEADER = "etcdserver: no leader"


def etcd(seen: Seen) -> Area:
    """From what each member says of itself: no quorum is needed to see that there is none."""
    area, answers = Area("etcd"), seen.answers("etcd")
    for host, why in seen.errors("etcd").items():
        # Whether the member itself is well, its own health has said.
        if well(seen.hosts[host]["components"]["etcd"]):
            area.fail(host, f"etcdctl cannot ask its member: {why}", "on {hosts}: etcdctl endpoint status")
    if not answers:
        asked, area.known = seen.asked("etcd"), False
        area.summary = "no member answers" if asked else NOT_ASKED
        if asked:
            area.fail(tuple(asked), "no member of etcd answers", "on {hosts}: systemctl status etcd")
        return area
    answers = _one_cluster(area, answers)
    statuses = {host: answer["status"] for host, answer in answers.items()}
    members = max((answer["members"] for answer in answers.values()), key=len)
    _leader(area, statuses, members)
    _spare(area, seen, statuses, members)
    _members(area, seen, members)
    _alarms(area, statuses, members)
    _database(area, statuses)
    _lag(area, statuses)
    return area


def _one_cluster(area: Area, answers: Mapping[str, Any]) -> dict[str, Any]:
    """The answers of the largest cluster: who restored a snapshot alone, or began from nothing, is in another."""
    clusters: dict[int, dict[str, Any]] = {}
    for host, answer in answers.items():
        clusters.setdefault(answer["status"]["header"]["cluster_id"], {})[host] = answer
    largest = max(clusters.values(), key=len)
    for host in [host for host in answers if host not in largest]:
        what = f"its etcd is in another cluster than that of {names(list(largest))}, with other data"
        todo = "stop etcd where the wrong data is, and keep its /var/lib/etcd; then replace_etcd_member.yml"
        area.fail(host, what, todo)
    return largest


def _leader(area: Area, statuses: Mapping[str, Any], members: list[dict[str, Any]]) -> None:
    known = {member["ID"]: member.get("name") or "a member that never started" for member in members}
    leaders = {status["leader"] for status in statuses.values() if status.get("leader")}
    area.summary = f"{len(statuses)} of {len(members)} members answer, "
    area.summary += f"leader {', '.join(known.get(leader, f'{leader:x}') for leader in leaders) or 'none'}"
    lost = tuple(host for host, status in statuses.items() if not status.get("leader"))
    area.figures.update(members=len(members), answering=len(statuses), without_leader=len(lost))
    if lost and not leaders:
        voters = sum(1 for member in members if not member.get("isLearner"))
        what = (
            f"no leader: nothing can be written; {voters // 2 + 1} of {voters} members have to run and reach each other"
        )
        area.fail(lost, what, f"start the members that are missing; lost for good: {RECOVER_PAGE}")
    elif lost:
        area.fail(lost, "the member does not see the leader", "on {hosts}: journalctl -u etcd -n 50")


def _spare(area: Area, seen: Seen, statuses: Mapping[str, Any], members: list[dict[str, Any]]) -> None:
    """A cluster that works without some of its members, and how many more it can lose."""
    voters = [member.get("name", "") for member in members if not member.get("isLearner")]
    quiet = tuple(name for name in seen.asked("etcd") if name in voters and name not in seen.answers("etcd"))
    if quiet and any(status.get("leader") for status in statuses.values()):
        spare = len(voters) - len(quiet) - (len(voters) // 2 + 1)
        what = f"its member of etcd does not answer: writes go on until {max(spare, 0) + 1} more is lost"
        area.warn(quiet, what, "repair the host or its etcd.service; where the data is lost: replace_etcd_member.yml")


def _members(area: Area, seen: Seen, members: list[dict[str, Any]]) -> None:
    wanted, found = seen.group("etcd"), {member.get("name", "") for member in members}
    for name in [name for name in wanted if name not in found]:
        area.fail(name, "is in the inventory, but no member of etcd", f"{SITE_THERE}; it was one: {REPLACE}")
    for member in members:
        identity, name = f"{member['ID']:x}", member.get("name") or ", ".join(member.get("peerURLs", []))
        if not member.get("name"):
            area.warn(name, f"member {identity} was added to etcd and never started", SITE_THERE)
        elif name not in wanted:
            todo = f"etcdctl member remove {identity}, or put it back into the inventory"
            area.warn(name, "is a member of etcd, but not in the inventory", todo)
        if member.get("isLearner"):
            area.warn(
                name, "is a learner: it does not vote yet", f"on another member: etcdctl member promote {identity}"
            )


def _alarms(area: Area, statuses: Mapping[str, Any], members: list[dict[str, Any]]) -> None:
    known = {member["ID"]: member.get("name") or f"{member['ID']:x}" for member in members}
    texts = {text for status in statuses.values() for text in status.get("errors") or [] if text != NO_LEADER}
    for text in sorted(texts):
        number = re.search(r"memberID:\s*(\d+)", text)
        host = known.get(int(number[1]), f"{int(number[1]):x}") if number else next(iter(statuses))
        if "NOSPACE" in text:
            area.fail(host, "alarm NOSPACE: its database is full, the cluster takes no writes", QUOTA_PAGE)
        elif "CORRUPT" in text:
            todo = "on {hosts}: systemctl stop etcd (the others go on without it); then replace_etcd_member.yml"
            area.fail(host, "alarm CORRUPT: its data differs from that of the others", todo)
        else:
            area.fail(host, f"says: {text}", "on {hosts}: journalctl -u etcd -n 50")


def _database(area: Area, statuses: Mapping[str, Any]) -> None:
    fullest = (-1.0, 0, 0)
    for host, status in statuses.items():
        size, used, quota = (int(status.get(key) or 0) for key in ("dbSize", "dbSizeInUse", "dbSizeQuota"))
        percent = 100 * size / quota if quota else 0.0
        fullest = max(fullest, (percent, size, quota))
        if percent > QUOTA_WARNING:
            report = area.fail if percent > QUOTA_FAILURE else area.warn
            report(host, f"its database has {mib(size)}, {percent:.0f} % of its quota", QUOTA_PAGE)
        elif size > FRAGMENTED_BYTES and 100 * used / size < IN_USE_PERCENT:
            area.warn(host, f"its database has {mib(size)}, of which {mib(used)} are in use", f"{QUOTA_PAGE}: defrag")
    percent, size, quota = fullest
    area.summary += f", db {mib(size)}" + (f" ({percent:.0f} % of {mib(quota)})" if quota else "")
    area.figures.update(database_bytes=size, quota_bytes=quota)


def _lag(area: Area, statuses: Mapping[str, Any]) -> None:
    # What is zero is left out of the answer.
    keys = ("raftIndex", "raftAppliedIndex")
    indexes = {host: [int(status.get(key, 0)) for key in keys] for host, status in statuses.items()}
    newest = max(index for index, _applied in indexes.values())
    for host, (index, applied) in indexes.items():
        behind = max(newest - index, index - applied)
        if behind > LAG_ENTRIES:
            todo = "on {hosts}: its disk or network is too slow: journalctl -u etcd | grep 'took too long'"
            area.warn(host, f"is {behind} entries behind the others", todo)


def versions(seen: Seen) -> dict[str, str]:
    """What runs, by host."""
    return {host: str(answer["status"]["version"]) for host, answer in seen.answers("etcd").items()}
