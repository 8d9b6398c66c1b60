# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is found of etcd: each fault alone, by answers of a real one."""

from __future__ import annotations

import pytest
from ansible_collections.selfhosted.kubernetes.tests.unit.plugins.plugin_utils._health.world import (
    MASTERS,
    Cluster,
    recorded,
)

PAGE = "docs/operations/etcd-quota.md"
MIB = 2**20


def test_one_member_is_down(cluster: Cluster) -> None:
    """Its component is broken; that the cluster has none to spare is said of etcd."""
    cluster.component("m2", "etcd").update(active="failed", sub="failed", complaint="refused")
    cluster.hosts["m2"]["etcd"] = {"error": "`etcdctl endpoint status`: no answer"}
    what = "its member of etcd does not answer: writes go on until 1 more is lost"
    todo = "repair the host or its etcd.service; where the data is lost: replace_etcd_member.yml"
    assert cluster.of("etcd") == [("warning", "etcd", "m2", what, todo)]
    assert [it[:3] for it in cluster.of("components")] == [("failure", "components", "m2")]
    summary = next(area.summary for area in cluster.judge() if area.name == "etcd")
    assert summary == "2 of 3 members answer, leader m1, db 0 MiB (0 % of 16 MiB)"


def test_a_host_with_a_member_is_off(cluster: Cluster) -> None:
    """The same, though it said nothing at all."""
    cluster.off("m3")
    assert [it[:3] for it in cluster.of("etcd")] == [("warning", "etcd", "m3")]


def test_members_that_were_not_asked_are_not_missed(cluster: Cluster) -> None:
    """With --limit."""
    cluster.limit("m1")
    assert cluster.findings() == []


def test_no_quorum(cluster: Cluster) -> None:
    """The survivor says that there is no leader."""
    cluster.off("m2", "m3")
    cluster.hosts["m1"]["etcd"]["status"] = recorded("etcd", "without quorum")
    found = cluster.of("etcd")
    assert [it[:3] for it in found] == [("failure", "etcd", "m1")]
    assert found[0][3] == "no leader: nothing can be written; 2 of 3 members have to run and reach each other"


def test_a_member_that_sees_no_leader(cluster: Cluster) -> None:
    """The others do."""
    cluster.hosts["m3"]["etcd"]["status"] = recorded("etcd", "without quorum")
    todo = "on m3: journalctl -u etcd -n 50"
    assert cluster.of("etcd") == [("failure", "etcd", "m3", "the member does not see the leader", todo)]


def test_no_member_answers(cluster: Cluster) -> None:
    """Nor an API server, therefore."""
    for name in MASTERS:
        cluster.hosts[name]["etcd"] = {"error": "`etcdctl endpoint status`: no answer"}
        cluster.component(name, "etcd").update(active="inactive", sub="dead")
    todo = "on m1,m2,m3: systemctl status etcd"
    assert cluster.of("etcd") == [("failure", "etcd", "m1,m2,m3", "no member of etcd answers", todo)]


def test_etcdctl_is_broken(cluster: Cluster) -> None:
    """The member itself is well."""
    cluster.hosts["m2"]["etcd"] = {"error": "`etcdctl endpoint status`: exit code 127"}
    what = "etcdctl cannot ask its member: `etcdctl endpoint status`: exit code 127"
    assert ("failure", "etcd", "m2", what, "on m2: etcdctl endpoint status") in cluster.of("etcd")


def test_a_full_database(cluster: Cluster) -> None:
    """Who has raised the alarm is read from its text; the page says how to clear it."""
    for name in MASTERS:
        cluster.hosts[name]["etcd"]["status"] = recorded("etcd", "full")
    what = "alarm NOSPACE: its database is full, the cluster takes no writes"
    assert cluster.of("etcd") == [
        ("failure", "etcd", "m2,m1", what, PAGE),
        ("failure", "etcd", "m1,m2,m3", "its database has 16 MiB, 100 % of its quota", PAGE),
    ]


@pytest.mark.parametrize(("size", "level"), [(9, None), (10, "warning"), (15, "warning"), (15.5, "failure")])
def test_a_database_near_its_quota(cluster: Cluster, size: float, level: str | None) -> None:
    """Of 16 MiB."""
    cluster.hosts["m2"]["etcd"]["status"].update(dbSize=int(size * MIB), dbSizeInUse=int(size * MIB))
    what = f"its database has {size:.0f} MiB, {100 * size / 16:.0f} % of its quota"
    assert cluster.of("etcd") == ([(level, "etcd", "m2", what, PAGE)] if level else [])


def test_space_that_was_freed_and_not_given_back(cluster: Cluster) -> None:
    """Worth a defragmentation from 100 MiB on."""
    status = cluster.hosts["m2"]["etcd"]["status"]
    status.update(dbSizeQuota=8192 * MIB, dbSize=300 * MIB, dbSizeInUse=100 * MIB)
    what = "its database has 300 MiB, of which 100 MiB are in use"
    assert cluster.of("etcd") == [("warning", "etcd", "m2", what, f"{PAGE}: defrag")]
    status["dbSize"] = 90 * MIB
    assert cluster.of("etcd") == []


def test_corrupt_data(cluster: Cluster) -> None:
    """Only that member has to go."""
    for status in cluster.statuses():
        status["errors"] = ["memberID:13133933008779044626  alarm:CORRUPT"]
    what = "alarm CORRUPT: its data differs from that of the others"
    todo = "on m2: systemctl stop etcd (the others go on without it); then replace_etcd_member.yml"
    assert cluster.of("etcd") == [("failure", "etcd", "m2", what, todo)]


def test_a_learner_is_left_over(cluster: Cluster) -> None:
    """It never started, as after a run that was killed."""
    for name in MASTERS:
        cluster.hosts[name]["etcd"]["members"].append(recorded("etcd", "learner"))
    found = cluster.of("etcd")
    assert [it[:4] for it in found] == [
        ("warning", "etcd", "http://127.0.0.1:33804", "member eb074570347dfddd was added to etcd and never started"),
        ("warning", "etcd", "http://127.0.0.1:33804", "is a learner: it does not vote yet"),
    ]
    assert found[1][4] == "on another member: etcdctl member promote eb074570347dfddd"


def test_a_host_that_is_no_member(cluster: Cluster) -> None:
    """It is in the inventory."""
    cluster.off("m2")
    for name in ("m1", "m3"):
        members = cluster.hosts[name]["etcd"]["members"]
        cluster.hosts[name]["etcd"]["members"] = [it for it in members if it["name"] != "m2"]
    assert [it[:4] for it in cluster.of("etcd")] == [
        ("failure", "etcd", "m2", "is in the inventory, but no member of etcd")
    ]


def test_a_member_that_is_not_in_the_inventory(cluster: Cluster) -> None:
    """It may be one that was removed half."""
    cluster.groups = {**cluster.groups, "masters": ["m1", "m2"], "workers": ["m3", "w1", "w2"]}
    todo = "etcdctl member remove b5cfb4b33a06ff1, or put it back into the inventory"
    what = "is a member of etcd, but not in the inventory"
    assert cluster.of("etcd") == [("warning", "etcd", "m3", what, todo)]


def test_a_member_of_another_cluster(cluster: Cluster) -> None:
    """One that restored a snapshot alone leads itself, and looks well."""
    other = cluster.hosts["m3"]["etcd"]["status"]
    other["header"]["cluster_id"], other["leader"] = 1, 818805532681859057
    what = "its etcd is in another cluster than that of m1, m2, with other data"
    todo = "stop etcd where the wrong data is, and keep its /var/lib/etcd; then replace_etcd_member.yml"
    assert cluster.of("etcd") == [("failure", "etcd", "m3", what, todo)]
    summary = next(area.summary for area in cluster.judge() if area.name == "etcd")
    assert summary.startswith("2 of 3 members answer, leader m1")


def test_a_member_that_is_behind(cluster: Cluster) -> None:
    """Of what the others have, and of what it has itself."""
    for status in cluster.statuses():
        status.update(raftIndex=20000, raftAppliedIndex=20000)
    cluster.hosts["m2"]["etcd"]["status"].update(raftIndex=10000, raftAppliedIndex=10000)
    cluster.hosts["m3"]["etcd"]["status"].update(raftAppliedIndex=14000)
    assert [it[:4] for it in cluster.of("etcd")] == [
        ("warning", "etcd", "m2", "is 10000 entries behind the others"),
        ("warning", "etcd", "m3", "is 6000 entries behind the others"),
    ]
