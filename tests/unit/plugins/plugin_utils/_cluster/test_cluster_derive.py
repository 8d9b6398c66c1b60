# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Derived values of whole clusters against golden files; SELFHOSTED_GOLDEN=write renews them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.derive import (
    COMPONENTS,
    OUTSIDE_SERVICES,
    derive,
)
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.model import Inventory

Make = Callable[..., Inventory]
GOLDEN = Path(__file__).parent / "golden"
JOBS = [{"repository": "app", "namespaces": ["app", "web"]}, {"repository": "base"}]
CLUSTERS: dict[str, dict[str, Any]] = {
    "one-master": {"groups": {"masters": ["m1"], "workers": ["w1"], "outside": ["o1"]}},
    "ha": {},
    "external-etcd-vip": {
        "groups": {"etcd": ["e1"], "masters": ["m1"], "workers": ["m1"], "outside": ["o1", "o2"]},
        "settings": {"vip": "192.0.2.100", "dns_address": "10.96.0.53", "outside_services": list(OUTSIDE_SERVICES)},
        "variables": {
            "m1": {"overlay_backend": "host-gw"},
            "o1": {"registry_port": 5001, "ci_jobs": JOBS},
            "o2": {"artifact_store_port": 9444, "ci_jobs": JOBS},
        },
        "changed": {"m1": {"mtu": 9000, "architecture": "arm64"}},
    },
    "storage": {
        "groups": {"masters": ["m1"], "workers": ["w1"], "outside": ["o1"], "storage": ["s1", "s2", "s3", "o1"]},
        "settings": {"outside_services": ["monitoring"]},
        "variables": {
            "m1": {"rook_mode": "external"},
            "s1": {"ceph_rack": "r1"},
            "w1": {"volumes_local": [{"name": "db", "path": "/srv/volumes/db", "size_gib": 10}]},
        },
        "changed": {"s1": {"ceph": "19.2.3"}},
    },
}


def readable(derived: dict[str, Any]) -> dict[str, Any]:
    """One line for each certificate."""
    lines = [
        f"{item['name']}: {item['ca']} {'+'.join(item['usages'])} cn={item['cn']} o={','.join(item['o'])} "
        f"dns={','.join(item['dns'])} ip={','.join(item['ip'])}"
        for item in derived["pki"]["certificates"]
    ]
    return {**derived, "pki": {**derived["pki"], "certificates": lines}}


@pytest.mark.parametrize("name", CLUSTERS)
def test_golden(make: Make, name: str) -> None:
    """What roles get has changed only when someone says so."""
    text = json.dumps(readable(derive(make(**CLUSTERS[name]))), indent=1) + "\n"
    path = GOLDEN / f"{name}.json"
    if os.environ.get("SELFHOSTED_GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, ("192.0.2.6", 6443)),
        ({"vip": "192.0.2.100"}, ("192.0.2.100", 6443)),
        ({"vip": "192.0.2.100", "endpoint": "api.example.org:443"}, ("api.example.org", 443)),
        ({"endpoint": "api.example.org"}, ("api.example.org", 6443)),
    ],
)
def test_endpoint_is_in_the_certificate(make: Make, settings: dict[str, Any], expected: tuple[str, int]) -> None:
    """Clients outside must be able to verify whom they reach."""
    derived = derive(make(settings=settings))
    assert (derived["endpoint"]["host"], derived["endpoint"]["port"]) == expected
    apiserver = next(item for item in derived["pki"]["certificates"] if item["name"] == "m1/apiserver")
    assert expected[0] in apiserver["dns"] + apiserver["ip"]


def test_host_that_was_not_asked(make: Make) -> None:
    """Everything that others need of it comes from the inventory."""
    asked, inventory = derive(make()), make()
    for host in inventory.hosts.values():
        host.facts.clear()  # type: ignore[attr-defined]
    silent = derive(inventory)
    assert {name: host.pop("architecture") for name, host in silent["hosts"].items()} == dict.fromkeys(
        inventory.hosts, ""
    )
    for host in asked["hosts"].values():
        host.pop("architecture")
    assert silent == asked


def test_every_component_is_a_role(roles: Path) -> None:
    """With argument specs and everything else that a role has."""
    assert [role for role, _groups in COMPONENTS if not (roles / role).is_dir()] == []


def test_certificates_grow_with_hosts(make: Make) -> None:
    """Each worker adds its own four; no other certificate names it."""
    few = derive(make())["pki"]["certificates"]
    many = derive(make(groups={"masters": ["m1", "m2", "m3"], "workers": ["w1", "w2", "w3"], "outside": ["o1"]}))[
        "pki"
    ]["certificates"]
    assert len(many) - len(few) == 4
    assert all(item["name"].startswith("w3/") for item in many if "w3" in item["dns"] or item["cn"].endswith(":w3"))
