# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold for any networks, numbers and texts, against an independent calculation."""

from __future__ import annotations

import time
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.derive import derive
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.gather import Gatherer
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.model import Inventory, report
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.networks import networks
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.specs import Specs
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.validate import validate
from hypothesis import given
from hypothesis import strategies as st

Make = Callable[..., Inventory]
cidrs = st.builds(
    lambda number, prefix: IPv4Network((number, prefix), strict=False), st.integers(0, 2**32 - 1), st.integers(4, 30)
)


def addresses_of(net: IPv4Network) -> range:
    """A network as the numbers of its addresses."""
    return range(int(net[0]), int(net[-1]) + 1)


@given(pods=cidrs, services=cidrs)
def test_overlap_is_a_shared_address(make: Make, pods: IPv4Network, services: IPv4Network) -> None:
    """Two networks overlap exactly when one number is in both ranges."""
    one, other = addresses_of(pods), addresses_of(services)
    shared = max(one[0], other[0]) <= min(one[-1], other[-1])
    errors = report(networks(make(settings={"pod_network": str(pods), "service_network": str(services)})))
    assert any("overlaps" in line for line in errors) == shared


@given(pods=cidrs, number=st.integers(0, 2**32 - 1))
def test_host_address_in_pod_network_is_found(make: Make, pods: IPv4Network, number: int) -> None:
    """For any address, in any group."""
    inventory = make(
        settings={"pod_network": str(pods), "node_cidr_size": 29}, addresses={"o1": str(IPv4Address(number))}
    )
    found = any(f"contains the address {IPv4Address(number)} of a host" in line for line in report(validate(inventory)))
    services = addresses_of(IPv4Network("10.96.0.0/16"))
    assert found == (number in addresses_of(pods) or number in services)


@given(prefix=st.integers(12, 29), number=st.integers(0, 2**32 - 1))
def test_derived_dns_address_is_in_the_service_network(make: Make, prefix: int, number: int) -> None:
    """Either there is an error or the address is a usable one."""
    services = IPv4Network((number, prefix), strict=False)
    inventory = make(
        settings={"service_network": str(services), "pod_network": "0.0.0.0/8"},
        groups={"masters": ["m1"], "workers": ["w1"], "outside": ["o1"]},
    )
    if not any(line.startswith("cluster_service_network:") and "DNS" in line for line in report(validate(inventory))):
        derived = derive(inventory)
        assert IPv4Address(derived["dns_address"]) in services
        assert derived["dns_address"] not in (derived["service_address"], str(services[-1]))
    else:
        assert services.num_addresses < 12


@given(count=st.integers(1, 9))
def test_even_etcd_is_refused(make: Make, count: int) -> None:
    """Whatever the number."""
    lines = report(
        validate(
            make(groups={"masters": [f"m{index}" for index in range(count)], "workers": ["w1"], "outside": ["o1"]})
        )
    )
    assert bool(lines) == (count % 2 == 0)


@given(count=st.integers(1, 40), prefix=st.integers(18, 28))
def test_pod_network_holds_all_nodes(make: Make, count: int, prefix: int) -> None:
    """A part of /25 for each node."""
    inventory = make(
        groups={"masters": ["m1"], "workers": [f"w{index}" for index in range(count)], "outside": ["o1"]},
        settings={"pod_network": f"10.244.0.0/{prefix}", "node_cidr_size": 25},
    )
    assert (report(validate(inventory)) == []) == (prefix <= 25 and (count + 1) * 128 <= 2 ** (32 - prefix))


TEXTS = ["name", "domain", "kubernetes_version", "pod_network", "service_network", "dns_address", "endpoint", "vip"]


@given(settings=st.dictionaries(st.sampled_from(TEXTS), st.text()), size=st.integers())
def test_any_text_makes_errors_and_never_a_crash(make: Make, settings: dict[str, str], size: int) -> None:
    """Validation survives what it refuses."""
    for line in report(validate(make(settings={**settings, "node_cidr_size": size}))):
        assert ": " in line
        assert "; " in line


def seconds(specs: Specs, facts: Callable[[str], dict[str, Any]], count: int) -> float:
    """CPU time that a whole plan for so many workers takes; others that want the CPU meanwhile do not count."""
    names = [f"w{index}" for index in range(count)]
    groups = {"masters": ["m1", "m2", "m3"], "workers": names, "outside": ["o1"]}
    hostvars: dict[str, dict[str, Any]] = {
        name: {
            "ansible_host": f"192.{index // 65536}.{index // 256 % 256}.{index % 256}",
            "kubelet_config": {"maxPods": 60},
            "kubelet_labels": {"rack": name},
            "cluster_pod_network": "10.0.0.0/10",
            "cluster_node_cidr_size": 26,
            "cluster_host": facts(name),
        }
        for index, name in enumerate([*groups["masters"], *names, "o1"], 1)
    }
    settings = {"cluster_state_dir": "/srv/state", "cluster_pod_network": "10.0.0.0/10", "cluster_node_cidr_size": 26}
    started = time.process_time()
    gatherer = Gatherer(specs, groups, hostvars)
    inventory = gatherer.inventory(settings, Path("/srv"), {"1.37.2": "3.7.3"})
    assert report([*gatherer.errors, *validate(inventory)]) == []
    assert len(derive(inventory)["hosts"]) == count + 4
    return time.process_time() - started


def test_cost_grows_with_hosts_not_faster(specs: Specs, facts: Callable[[str], dict[str, Any]]) -> None:
    """1,000 hosts in a few seconds; eight times the hosts in about eight times the time (a square would be 64)."""
    seconds(specs, facts, 50)
    few, many = min(seconds(specs, facts, 125) for _ in range(3)), seconds(specs, facts, 1000)
    assert many < 5
    assert many < 24 * few
