# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which member of etcd may go, from what etcdctl 3.7 answers."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._etcd import Member, members_of, refusal, who_stays


def answers(well: str, count: int, **first: Any) -> list[Member]:
    """Members m1 to mN; those named by a digit in `well` are healthy."""
    listed = {
        "members": [
            {
                "ID": 0xA0 + number,
                "name": f"m{number}",
                "peerURLs": [f"https://10.0.0.{number}:2380"],
                "clientURLs": [f"https://10.0.0.{number}:2379"],
            }
            for number in range(1, count + 1)
        ]
    }
    listed["members"][0] |= first
    health = [
        {"endpoint": f"https://10.0.0.{number}:2379", "health": str(number) in well} for number in range(1, count + 1)
    ]
    return members_of(listed, health)


def test_members() -> None:
    """By name, with the identity as etcdctl wants it back; one that never started has no name."""
    first, second = answers("2", 2, name="", clientURLs=[])
    assert (first.name, first.identity, first.healthy) == ("https://10.0.0.1:2380", "a1", False)
    assert (second.name, second.identity, second.healthy) == ("m2", "a2", True)


def test_the_one_that_goes_is_not_asked() -> None:
    """Nor a sick one, nor a learner, which refuses what is not for it."""
    members = answers("123", 4)
    assert who_stays(members, members[1]) == ["https://10.0.0.1:2379", "https://10.0.0.3:2379"]
    members = answers("123", 3, isLearner=True)
    assert who_stays(members, members[1]) == ["https://10.0.0.3:2379"]


@pytest.mark.parametrize(
    ("well", "count", "going", "reason"),
    [
        ("123", 3, 1, ""),
        ("23", 3, 1, ""),
        ("12", 3, 3, ""),
        ("12", 2, 2, ""),
        ("12", 3, 1, "without m1 etcd would have 2 members and needs 2 healthy ones, but m3 is not healthy"),
        ("345", 5, 1, ""),
        ("123", 5, 1, "without m1 etcd would have 4 members and needs 3 healthy ones, but m4, m5 are not healthy"),
        ("1", 2, 1, "without m1 etcd would have 1 members and needs 1 healthy ones, but m2 is not healthy"),
        ("1", 1, 1, "m1 is the last member of etcd: without it all data is lost"),
    ],
)
def test_refusal(well: str, count: int, going: int, reason: str) -> None:
    """A majority of those that remain has to be healthy, whether the one that goes is healthy or not."""
    members = answers(well, count)
    found = refusal(members, members[going - 1])
    assert found.startswith(reason) if reason else found == ""


def test_a_learner_does_not_count() -> None:
    """It has no vote: without m2 there is one voter, which is enough."""
    members = answers("23", 3, isLearner=True)
    assert refusal(members, members[1]) == ""
    assert refusal(members[:2], members[1]).startswith("m2 is the last member")
