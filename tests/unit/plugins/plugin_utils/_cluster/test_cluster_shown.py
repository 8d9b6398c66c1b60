# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The status page lists what there is, and asks about it under the names that Prometheus has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.derive import OUTSIDE_SERVICES, derive
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.model import Inventory

Make = Callable[..., Inventory]
ALL = {"outside_services": list(OUTSIDE_SERVICES), "vip": "192.0.2.100"}
# Pods of the cluster, and what is looked at for its certificate alone.
NO_COMPONENT = {"coredns", "probe-certificate"}


def entries(derived: dict[str, Any]) -> list[dict[str, str]]:
    """Labels of all targets."""
    return [entry["labels"] for way in derived["monitoring"]["targets"].values() for entry in way]


def test_every_job_is_about_a_component(make: Make) -> None:
    """On the same hosts, and no component waits for a job that nobody has."""
    derived = derive(make(settings=ALL))
    asked = {(it["instance"], it["job"]) for it in entries(derived) if it["job"] not in NO_COMPONENT}
    listed = {
        (host["name"], job)
        for host in derived["shown"]
        for component in host["components"]
        for job in component["jobs"]
    }
    assert listed == asked


def test_every_certificate_has_a_component(make: Make) -> None:
    """Also where the port was moved."""
    moved = {"w1": {"kubelet_config": {"port": 11250}, "monitored_port": 10443}}
    derived = derive(make(settings=ALL, variables=moved))
    looked_at = {(it["instance"], it["target"]) for it in entries(derived) if it["job"] == "probe-certificate"}
    listed = {
        (host["name"], component["certificate"])
        for host in derived["shown"]
        for component in host["components"]
        if component["certificate"]
    }
    assert listed == looked_at
    assert {("w1", "192.0.2.4:11250"), ("w1", "192.0.2.4:10443")} <= listed


def test_hosts_that_are_away_are_listed(make: Make) -> None:
    """With their groups; pages are those of outside hosts, where they are."""
    inventory = make(settings=ALL, variables={"o1": {"status_page_port": 9444, "registry_port": 5001}})
    for host in inventory.hosts.values():
        host.facts.clear()  # type: ignore[attr-defined]
    shown = {host["name"]: host for host in derive(inventory)["shown"]}
    assert list(shown) == ["m1", "m2", "m3", "w1", "w2", "o1"]
    assert (shown["m1"]["groups"], shown["w1"]["groups"]) == (["etcd", "masters"], ["workers"])
    assert [host for host, it in shown.items() if it["pages"]] == ["o1"]
    assert {it["url"] for it in shown["o1"]["pages"]} == {
        "https://192.0.2.6:5001/v2/_catalog",
        "https://192.0.2.6:3000/",
        "https://192.0.2.6:9428/",
        "https://192.0.2.6:9090/",
        "https://192.0.2.6:9093/",
        "https://192.0.2.6:9444/",
    }


def test_nothing_is_listed_where_nobody_looks(make: Make) -> None:
    """And no certificate is made for it."""
    derived = derive(make())
    assert derived["shown"] == []
    assert not [it for it in derived["pki"]["certificates"] if it["cn"] in ("grafana", "status-page")]
