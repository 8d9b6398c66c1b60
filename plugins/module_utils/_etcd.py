# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Members of an etcd cluster, from the documents that etcdctl gives. No I/O here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Member:
    """One member: a name of its own, or its peer URL while it never started."""

    identity: str
    name: str
    healthy: bool
    # A learner does not vote yet.
    voter: bool = True
    # Where clients reach it; nowhere while it never started.
    endpoints: tuple[str, ...] = ()


def members_of(listed: dict[str, Any], health: list[dict[str, Any]]) -> list[Member]:
    """From `etcdctl member list` and `etcdctl endpoint health --cluster`, both with `--write-out=json`."""
    well = {entry["endpoint"] for entry in health if entry.get("health")}
    return [
        Member(
            f"{member['ID']:x}",
            member.get("name") or ", ".join(member["peerURLs"]),
            bool(well.intersection(member.get("clientURLs", []))),
            not member.get("isLearner", False),
            tuple(member.get("clientURLs", [])),
        )
        for member in listed["members"]
    ]


def voters_left(members: list[Member], going: Member) -> list[Member]:
    """Who votes when a member is gone."""
    return [member for member in members if member != going and member.voter]


def who_stays(members: list[Member], going: Member) -> list[str]:
    """Endpoints of the others that can answer for the cluster: a member that goes stops, and its answer may be lost."""
    healthy = [member for member in voters_left(members, going) if member.healthy]
    return [endpoint for member in healthy for endpoint in member.endpoints]


def refusal(members: list[Member], going: Member) -> str:
    """Why a member may not go; empty when it may."""
    rest = voters_left(members, going)
    if not rest:
        return (
            f"{going.name} is the last member of etcd: without it all data is lost; reset.yml removes a whole cluster"
        )
    healthy = [member.name for member in rest if member.healthy]
    needed = len(rest) // 2 + 1
    if len(healthy) >= needed:
        return ""
    sick = ", ".join(member.name for member in rest if not member.healthy)
    return (
        f"without {going.name} etcd would have {len(rest)} members and needs {needed} healthy ones, but {sick} "
        f"{'is' if len(rest) - len(healthy) == 1 else 'are'} not healthy: repair that first"
    )
