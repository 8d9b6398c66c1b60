# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Ceph complains of is said once, by its own names."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.tests.unit.plugins.plugin_utils._health.world import Cluster

HOSTS = ["s1", "s2", "s3"]
# As Ceph 16.2 writes them.
CHECKS = {
    "OSD_DOWN": {"severity": "HEALTH_WARN", "summary": {"message": "1 osds down", "count": 1}, "muted": False},
    "OSD_FULL": {"severity": "HEALTH_ERR", "summary": {"message": "1 full osd(s)", "count": 1}, "muted": False},
}


@pytest.fixture
def stored(cluster: Cluster) -> Cluster:
    """With storage, all of which is well."""
    cluster.groups = {**cluster.groups, "storage": HOSTS}
    for name in HOSTS:
        cluster.hosts[name] = {**cluster.host(name), "storage": {"status": "HEALTH_OK", "checks": {}}}
    return cluster


def summaries(cluster: Cluster) -> dict[str, str]:
    """What each area says in short."""
    return {area.name: area.summary for area in cluster.judge()}


def test_it_is_well(stored: Cluster, cluster: Cluster) -> None:
    """And no area where there is none."""
    assert stored.findings() == []
    assert summaries(stored)["storage"] == "HEALTH_OK"
    cluster.groups = {name: hosts for name, hosts in cluster.groups.items() if name != "storage"}
    assert "storage" not in summaries(cluster)


def test_what_it_complains_of(stored: Cluster) -> None:
    """By severity; one host that does not know is enough of others that do."""
    said: dict[str, Any] = {"status": "HEALTH_ERR", "checks": CHECKS}
    stored.hosts["s1"]["storage"] = {"error": "no answer within 7 s"}
    for name in HOSTS[1:]:
        stored.hosts[name]["storage"] = said
    todo = "on s2: ceph health detail; docs/runbooks/storage.md"
    assert stored.of("storage") == [
        ("failure", "storage", "storage", "OSD_FULL: 1 full osd(s)", todo),
        ("warning", "storage", "storage", "OSD_DOWN: 1 osds down", todo),
    ]


def test_nobody_knows(stored: Cluster) -> None:
    """No majority of monitors."""
    for name in HOSTS:
        stored.hosts[name]["storage"] = {"error": "`ceph health`: [errno 110] RADOS timed out"}
    ((level, _, on, what, _),) = stored.of("storage")
    assert (level, on) == ("failure", "s1,s2,s3")
    assert what == "nothing is known of the storage: `ceph health`: [errno 110] RADOS timed out"
