# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said where no API server answers."""

from __future__ import annotations

from typing import Any

from ansible_collections.selfhosted.kubernetes.plugins.action.why_answer import without_api

OUTAGE = {
    "code": "EtcdStopped",
    "object": "component/etcd",
    "verdict": "etcd is stopped on m1",
    "todo": "on m1: systemctl start etcd",
    "evidence": ["m1: etcd: etcd.service is inactive (dead)", "m1: bye"],
}


def container(**more: Any) -> dict[str, Any]:
    """As a node says it."""
    base = {"name": "web", "id": "abc", "log": "/var/log/pods/shop_web_1/web/0.log", "restarts": 0, "state": "running"}
    return {**base, "lines": ["serving"], **more}


def test_why_it_is_down_and_where_the_pod_is() -> None:
    """The cause first, then each node that has it; nodes that said nothing are named."""
    pod = {"namespace": "shop", "pod": "web", "uid": "1", "containers": [container()]}
    nodes = {"w1": {"pods": [pod]}, "w2": {"pods": []}, "w3": {"unreachable": True}}
    said = without_api(OUTAGE, nodes)
    assert (said["state"], said["verdict"]) == ("unreachable", "no API server answers: etcd is stopped on m1")
    assert said["cause"]["code"] == "EtcdStopped"
    assert said["lines"][:4] == [
        "no API server answers: etcd is stopped on m1",
        "because    m1: etcd: etcd.service is inactive (dead)",
        "           m1: bye",
        "next: on m1: systemctl start etcd",
    ]
    assert "pod shop/web is on node w1" in said["lines"]
    assert "    serving" in said["lines"]
    assert said["lines"][-1] == "not known: w3 cannot be reached and may have it"
    assert (set(said["pods"]), said["silent"]) == ({"w1"}, ["w3"])


def test_nobody_has_it_and_nothing_is_down_any_more() -> None:
    """An API server was away for a moment."""
    said = without_api({}, {"w1": {"pods": []}})
    assert said["lines"] == [
        "no API server answers: and yet one is ready now: ask again",
        "no node that can be reached has a log of it",
    ]
