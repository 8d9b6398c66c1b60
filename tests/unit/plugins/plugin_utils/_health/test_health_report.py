# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table for people, the document for programs, and how a run ends."""

from __future__ import annotations

from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._health import report
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._health.model import Area
from ansible_collections.selfhosted.kubernetes.tests.unit.plugins.plugin_utils._health.world import NOW, Cluster

WELL = """\
ok    hosts           6 of 6 answer
ok    components      43 of 43 well
ok    etcd            3 of 3 members answer, leader m1, db 0 MiB (0 % of 16 MiB)
ok    API servers     3 of 3 ready
ok    load balancers  18 of 18 backends up, on 6 hosts
ok    nodes           5 of 5 Ready
ok    system pods     2 deployments, 0 not as they should be
ok    versions        Kubernetes 1.37.2
ok    certificates    first certificate ends in 300 days (w1: /etc/kubelet.crt)
ok    other units     none failed
ok    disks           fullest: w2:/, 50 %
ok    memory          least left: m1, 50 %
ok    clocks          they agree"""

SICK = """\
FAIL  components  42 of 43 well
?     nodes       not asked
warn  clocks      1 differ

FAIL  components: w1: kubelet: kubelet.service is failed (failed)
      -> on w1: journalctl -u kubelet.service -n 50

warn  clocks: w1, w2, w3, w4, w5 and 2 more: off
      -> on w1,w2,w3,w4,w5…: timedatectl"""


def text(areas: list[Area]) -> str:
    """The table without its colours."""
    return "\n".join(line for _level, line in report.table(areas))


def test_the_table_of_a_cluster_that_is_well(cluster: Cluster) -> None:
    """A line for each area, and nothing below."""
    cluster.holds("w1", "/etc/kubelet.crt", 300)
    assert text(cluster.judge()) == WELL


def test_the_table_says_what_to_do() -> None:
    """Failures first, each with its next step; many hosts stay one line."""
    components, nodes = Area("components", "42 of 43 well"), Area("nodes", "not asked", known=False)
    clocks = Area("clocks", "1 differ")
    components.fail(
        "w1", "kubelet: kubelet.service is failed (failed)", "on {hosts}: journalctl -u kubelet.service -n 50"
    )
    clocks.warn(tuple(f"w{number}" for number in range(1, 8)), "off", "on {hosts}: timedatectl")
    assert text([components, nodes, clocks]) == SICK


def test_colours_are_those_of_the_levels() -> None:
    """Of an area's line and of a finding's first."""
    area = Area("nodes")
    area.warn("w1", "is cordoned", "kubectl uncordon {hosts}")
    assert [level for level, line in report.table([area]) if line] == ["warning", "warning", "ok"]


def test_the_document(cluster: Cluster) -> None:
    """All that is in the table, with every host and every figure; counts decide how the run ends."""
    cluster.object("Node", "w1")["spec"]["unschedulable"] = True
    cluster.component("m1", "etcd").update(active="failed", sub="failed")
    said = report.document(cluster.judge(), NOW)
    assert (said["time"], said["counts"]) == ("2026-11-25T03:00:00Z", {"failures": 1, "warnings": 1})
    levels = {area["name"]: area["level"] for area in said["areas"]}
    assert {name for name, level in levels.items() if level != "ok"} == {"components", "nodes"}
    assert (levels["components"], levels["nodes"]) == ("failure", "warning")
    figures = {area["name"]: area["figures"] for area in said["areas"]}
    assert figures["nodes"] == {"ready": 5, "nodes": 5}
    assert said["findings"][1] == {
        "level": "warning",
        "area": "nodes",
        "hosts": ["w1"],
        "what": "is cordoned: it gets no new pods",
        "todo": "kubectl uncordon w1",
    }


def test_every_area_keeps_its_name(cluster: Cluster) -> None:
    """Also where it cannot be judged."""
    well = [area.name for area in cluster.judge()]
    cluster.hosts["w1"] = {}
    sick = cluster.judge()
    assert [area.name for area in sick] == well
    assert "cannot be judged" in {area.summary for area in sick}
