# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where logs go, and who may send them, follows from the inventory alone."""

from __future__ import annotations

from collections.abc import Callable

from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.derive import derive
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.model import Inventory

Make = Callable[..., Inventory]
KEPT = {"outside_services": ["logging"]}
ROLES = {"logging", "journal_upload", "vlagent"}


def test_every_host_sends_to_every_outside_host(make: Make) -> None:
    """Journals of all, pods' logs of nodes; each host in its own name."""
    derived = derive(make(settings=KEPT, variables={"o1": {"logging_port": 10428}}))
    assert derived["logging"] == {"stores": [{"name": "o1", "address": "192.0.2.6:10428"}]}
    found = {
        name: [role for role in host["components"] + host["components_late"] if role in ROLES]
        for name, host in derived["hosts"].items()
    }
    nodes = {name: ["journal_upload", "vlagent"] for name in ("m1", "m2", "m3", "w1", "w2")}
    assert found == {**nodes, "o1": ["logging", "journal_upload"]}
    senders = {it["name"]: it["cn"] for it in derived["pki"]["certificates"] if it["name"].endswith("/logs")}
    assert senders == {f"{name}/logs": f"logs:{name}" for name in derived["hosts"]}


def test_nothing_is_sent_where_nobody_keeps_it(make: Make) -> None:
    """No component, no certificate, no password."""
    derived = derive(make())
    assert derived["logging"] == {}
    assert not ROLES & {role for host in derived["hosts"].values() for role in host["components"]}
    assert not [it for it in derived["pki"]["certificates"] if it["name"].endswith(("/logs", "/logging"))]
    assert "logging" not in [key["name"] for key in derived["pki"]["keys"]]


def test_prometheus_sees_it(make: Make) -> None:
    """The store by its front, senders by their hosts' gates."""
    derived = derive(make(settings={"outside_services": ["logging", "monitoring"]}))["monitoring"]["targets"]
    jobs = {
        (entry["labels"]["job"], entry["labels"]["instance"]): entry["targets"][0]
        for way in derived.values()
        for entry in way
    }
    assert jobs["victoria-logs", "o1"] == "192.0.2.6:9428"
    assert jobs["vlagent", "w1"] == "192.0.2.4:9443"
    assert ("vlagent", "o1") not in jobs
    assert ("probe-logging-front", "o1") in jobs
