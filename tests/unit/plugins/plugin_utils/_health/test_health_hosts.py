# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is found of single hosts: each fault alone, as the only finding of its area."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.tests.unit.plugins.plugin_utils._health.world import HOSTS, Cluster, disk

LOOK = "on w1: journalctl -u kubelet.service -n 50"
SITE = "ansible-playbook … site.yml --limit w1"


def test_a_cluster_that_is_well(cluster: Cluster) -> None:
    """Nothing is found, and every area is known."""
    cluster.holds("w1", "/etc/kubernetes/kubelet/client.crt", 300)
    assert cluster.findings() == []
    assert {area.known for area in cluster.judge()} == {True}


def test_no_host_at_all(cluster: Cluster) -> None:
    """It is not taken for a cluster that is well."""
    cluster.groups, cluster.hosts = {}, {}
    what = "there is no host in the groups etcd, masters, workers and outside"
    todo = "ansible-playbook -i INVENTORY … check.yml"
    assert cluster.findings() == [("failure", "hosts", "inventory", what, todo)]
    assert {area.known for area in cluster.judge()} == {False}


@pytest.mark.parametrize(
    ("host", "gone"),
    [
        ("m2", "; where it is gone for good: replace_etcd_member.yml"),
        ("w1", "; where it is gone for good: remove_node.yml with remove_is_gone=true"),
        ("o1", ""),
    ],
)
def test_a_host_that_does_not_answer(cluster: Cluster, host: str, gone: str) -> None:
    """With ssh's reason, and what to do according to what it is."""
    cluster.off(host)
    what = "does not answer: connect to host port 22: Connection timed out"
    todo = f"ssh to {host}; look at power, console and network{gone}"
    assert cluster.of("hosts") == [("failure", "hosts", host, what, todo)]


@pytest.mark.parametrize(
    ("change", "level", "what", "todo"),
    [
        (
            {"active": "failed", "sub": "failed"},
            "failure",
            "kubelet: kubelet.service is failed (failed)",
            f"{LOOK}; systemctl restart kubelet.service",
        ),
        # As systemd says it between two starts of a program that ends at once.
        (
            {"active": "activating", "sub": "auto-restart", "restarts": 40, "seconds": 2.0},
            "failure",
            "kubelet: kubelet.service is activating (auto-restart)",
            f"{LOOK}; systemctl restart kubelet.service",
        ),
        (
            {"restarts": 40, "seconds": 12.3},
            "warning",
            "kubelet: kubelet.service ended and was started again 40 times, last 12 s ago",
            LOOK,
        ),
        (
            {"complaint": "http://127.0.0.1:10248/healthz answered 500\n[-]syncloop failed"},
            "failure",
            "kubelet: http://127.0.0.1:10248/healthz answered 500 [-]syncloop failed",
            LOOK,
        ),
        (
            {"active": None},
            "failure",
            "kubelet: systemd does not say how kubelet.service is",
            "on w1: systemctl status",
        ),
        ({"installed": False}, "failure", "kubelet: its first start never ended well", f"{LOOK}; then {SITE}"),
        (
            {"enabled": "disabled"},
            "warning",
            "kubelet: kubelet.service will not start with the host (disabled)",
            SITE,
        ),
        ({"interrupted": True}, "warning", "a site run was interrupted at kubelet, or is running now", SITE),
    ],
)
def test_a_component(cluster: Cluster, change: dict[str, Any], level: str, what: str, todo: str) -> None:
    """Stopped, restarting, sick, half-installed."""
    cluster.component("w1", "kubelet").update(change)
    assert cluster.findings() == [(level, "components", "w1", what, todo)]


def test_restarts_of_long_ago_are_none(cluster: Cluster) -> None:
    """The counter of systemd is not reset by time."""
    cluster.component("w1", "kubelet").update(restarts=40, seconds=3600.0)
    assert cluster.findings() == []


def test_what_runs_once_and_was_tried_until_it_worked(cluster: Cluster) -> None:
    """Is no loop."""
    cluster.component("m1", "kube-addons").update(sub="exited", restarts=40, seconds=2.0)
    assert cluster.findings() == []


def test_what_several_hosts_have_is_said_once(cluster: Cluster) -> None:
    """With all their names."""
    for name in ("w1", "w2"):
        cluster.component(name, "flanneld").update(active="inactive", sub="dead")
    todo = "on w1,w2: journalctl -u flanneld.service -n 50; systemctl restart flanneld.service"
    what = "flanneld: flanneld.service is inactive (dead)"
    assert cluster.findings() == [("failure", "components", "w1,w2", what, todo)]


def test_addons_that_somebody_changed(cluster: Cluster) -> None:
    """A warning: what the API has may work."""
    cluster.component("m1", "kube-addons")["complaint"] = "`kubectl diff` ended with 1: -  replicas: 2"
    cluster.component("m2", "kube-addons")["complaint"] = "`kubectl diff` ended with 124: no answer within 6 s"
    todo = "ansible-playbook … site.yml --limit masters --check --diff"
    differ = "kube-addons: objects of the API differ from /etc/kubernetes/addons"
    unknown = "kube-addons: objects of the API cannot be compared: ended with 124: no answer within 6 s"
    assert cluster.findings() == [
        ("warning", "components", "m1", differ, todo),
        ("warning", "components", "m2", unknown, todo),
    ]


def test_a_host_without_components(cluster: Cluster) -> None:
    """It is in the inventory, and no site run was there."""
    cluster.hosts["w1"]["components"] = {}
    assert cluster.findings() == [("failure", "components", "w1", "has no component at all", SITE)]


def test_units_of_others(cluster: Cluster) -> None:
    """A failed one is a warning; one of ours is reported as a component."""
    cluster.hosts["w1"]["failed_units"] = ["fstrim.service", "kubelet.service"]
    todo = "on w1: journalctl -u fstrim.service -n 50; systemctl reset-failed fstrim.service"
    assert cluster.findings() == [("warning", "other units", "w1", "fstrim.service failed", todo)]
    cluster.hosts["w1"]["failed_units"] = {"error": "no answer within 7 s"}
    what = "failed units cannot be listed: no answer within 7 s"
    assert cluster.findings() == [("warning", "other units", "w1", what, "on w1: systemctl --failed")]


@pytest.mark.parametrize(
    ("use", "level", "what"),
    [
        ({"used": 96}, "failure", "/var/lib/etcd is 96 % full, 4.0 GiB left"),
        ({"used": 86}, "warning", "/var/lib/etcd is 86 % full, 14.0 GiB left"),
        ({"inodes": 99}, "failure", "/var/lib/etcd is 99 % full, 1000 inodes left"),
    ],
)
def test_a_full_disk(cluster: Cluster, use: dict[str, Any], level: str, what: str) -> None:
    """By bytes and by inodes."""
    cluster.hosts["m1"]["disks"] = [
        disk("/"),
        disk("/var/lib/etcd", used=use.get("used", 1), inodes=use.get("inodes", 1)),
    ]
    todo = "on m1: du -xh --max-depth=3 /var/lib/etcd | sort -h | tail"
    assert cluster.findings() == [(level, "disks", "m1", what, todo)]


def test_a_disk_that_turned_read_only(cluster: Cluster) -> None:
    """As the kernel does after an error, while all that runs still answers."""
    cluster.hosts["w1"]["disks"] = [disk("/", read_only=True)]
    todo = "on w1: dmesg | tail; then mount -o remount,rw /, or fsck"
    assert cluster.findings() == [("failure", "disks", "w1", "/ can only be read", todo)]


def test_a_disk_that_hangs(cluster: Cluster) -> None:
    """It does not answer in time."""
    cluster.hosts["w1"]["disks"] = {"error": "no answer within 7 s"}
    what, todo = "disks cannot be asked: no answer within 7 s", "on w1: df; dmesg | tail"
    assert cluster.findings() == [("failure", "disks", "w1", what, todo)]


def test_little_memory(cluster: Cluster) -> None:
    """Of 8 GiB."""
    cluster.hosts["w1"]["memory"]["available_bytes"] = 400 * 2**20
    todo = "on w1: systemd-cgtop -m; ps aux --sort=-rss | head"
    assert cluster.findings() == [("warning", "memory", "w1", "400 MiB of 8.0 GiB of memory left", todo)]


@pytest.mark.parametrize(
    ("time", "level", "what"),
    [
        (103.2, "warning", "its clock is 3.0 s ahead of the control node's"),
        (40.0, "failure", "its clock is 60.0 s behind the control node's"),
    ],
)
def test_a_clock_that_is_off(cluster: Cluster, time: float, level: str, what: str) -> None:
    """The host's time between two of the control node, 100.0 and 100.2."""
    cluster.hosts["w1"]["clock"]["host"] = time
    todo = "on w1: timedatectl; run a time service (chrony, systemd-timesyncd) on both"
    assert cluster.findings() == [(level, "clocks", "w1", what, todo)]


def test_clocks_that_are_apart(cluster: Cluster) -> None:
    """Each near enough to the control node's, but not to each other."""
    cluster.hosts["m1"]["clock"]["host"], cluster.hosts["w1"]["clock"]["host"] = 101.1, 99.1
    found = cluster.findings()
    assert [it[:4] for it in found] == [("warning", "clocks", "m1", "its clock is at least 1.8 s ahead of w1's")]


def test_a_limited_run_judges_no_more_than_it_asked(cluster: Cluster) -> None:
    """What only others can say is neither well nor broken."""
    cluster.limit("w1")
    assert cluster.findings() == []
    unknown = {area.name: area.summary for area in cluster.judge() if not area.known}
    assert unknown == dict.fromkeys(["etcd", "API servers", "nodes", "system pods"], "not asked")


def test_an_answer_that_nobody_thought_of(cluster: Cluster) -> None:
    """One area says so, the others are judged."""
    del cluster.hosts["w1"]["memory"]["total_bytes"]
    cluster.component("w2", "kubelet")["enabled"] = "disabled"
    assert [(it[1], it[2], it[3]) for it in cluster.findings()] == [
        ("components", "w2", "kubelet: kubelet.service will not start with the host (disabled)"),
        ("memory", "control node", "an answer is not understood: KeyError: 'total_bytes'"),
    ]
    assert len(cluster.hosts) == len(HOSTS)
