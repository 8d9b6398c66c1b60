# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""etcd: leader, members, alarms, and the size of its database."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .model import SITE_THERE, Area, Seen, mib, well

QUOTA_PAGE = "docs/operations/etcd-quota.md"
QUOTA_PERCENT = 60
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
        if asked := [host for host in seen.group("etcd") if host in seen.hosts or host in seen.silent]:
            area.summary = "no member answers"
            area.fail(tuple(asked), "no member of etcd answers", "on {hosts}: systemctl status etcd")
        return area
    statuses = {host: answer["status"] for host, answer in answers.items()}
    members = max((answer["members"] for answer in answers.values()), key=len)
    _leader(area, statuses, members)
    _members(area, seen, members)
    _alarms(area, statuses, members)
    _database(area, statuses)
    _lag(area, statuses)
    return area


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
        area.fail(lost, what, "start the members that are missing")
    elif lost:
        area.fail(lost, "the member does not see the leader", "on {hosts}: journalctl -u etcd -n 50")


def _members(area: Area, seen: Seen, members: list[dict[str, Any]]) -> None:
    wanted, found = seen.group("etcd"), {member.get("name", "") for member in members}
    for name in [name for name in wanted if name not in found]:
        area.fail(name, "is in the inventory, but no member of etcd", "take it out of group etcd")
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
            todo = "on {hosts}: systemctl stop etcd; the other members go on without it"
            area.fail(host, "alarm CORRUPT: its data differs from that of the others", todo)
        else:
            area.fail(host, f"says: {text}", "on {hosts}: journalctl -u etcd -n 50")


def _database(area: Area, statuses: Mapping[str, Any]) -> None:
    fullest = (-1.0, 0, 0)
    for host, status in statuses.items():
        size, used, quota = (int(status.get(key) or 0) for key in ("dbSize", "dbSizeInUse", "dbSizeQuota"))
        percent = 100 * size / quota if quota else 0.0
        fullest = max(fullest, (percent, size, quota))
        if percent > QUOTA_PERCENT:
            area.warn(host, f"its database has {mib(size)}, {percent:.0f} % of its quota", QUOTA_PAGE)
        elif size > FRAGMENTED_BYTES and 100 * used / size < IN_USE_PERCENT:
            area.warn(host, f"its database has {mib(size)}, of which {mib(used)} are in use", f"{QUOTA_PAGE}: defrag")
    percent, size, quota = fullest
    area.summary += f", db {mib(size)}" + (f" ({percent:.0f} % of {mib(quota)})" if quota else "")
    area.figures.update(database_bytes=size, quota_bytes=quota)


def _lag(area: Area, statuses: Mapping[str, Any]) -> None:
    newest = max(int(status["raftIndex"]) for status in statuses.values())
    for host, status in statuses.items():
        behind = max(newest - int(status["raftIndex"]), int(status["raftIndex"]) - int(status["raftAppliedIndex"]))
        if behind > LAG_ENTRIES:
            todo = "on {hosts}: its disk or network is too slow: journalctl -u etcd | grep 'took too long'"
            area.warn(host, f"is {behind} entries behind the others", todo)


def versions(seen: Seen) -> dict[str, str]:
    """What runs, by host."""
    return {host: str(answer["status"]["version"]) for host, answer in seen.answers("etcd").items()}
