# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each kind of error alone: the whole report is that one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.model import Error, Inventory, report
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.validate import validate

Make = Callable[..., Inventory]
HA = {"masters": ["m1", "m2", "m3"], "workers": ["w1"], "outside": ["o1"]}
LEAVE_OUT = "or leave it out with --limit '!w1'"
TIME = "run a time service (chrony, systemd-timesyncd) on both"
HOST_ADDRESS = "set cluster_host_ip to the IPv4 address at which other hosts reach it"


def listener(port: int, process: str | None, address: str = "0.0.0.0", proto: str = "tcp") -> dict[str, Any]:
    """Facts with one socket that waits."""
    return {"listeners": [{"proto": proto, "address": address, "port": port, "process": process}]}


GROUP_ERRORS = [
    ({"groups": {"workers": ["w1"], "outside": ["o1"]}}, "group masters: it has no host; put the hosts that run the control plane into it"),
    (
        {"groups": {"workers": ["w1"], "outside": ["o1"]}, "other_groups": ["all", "master"]},
        "group masters: it has no host; rename group master",
    ),
    (
        {"groups": {"masters": ["m1"], "workers": ["w1"]}},
        "group outside: it has no host; put the hosts that hold the artifact store and the registry into it",
    ),
    (
        {"groups": {**HA, "outside": ["o1", "w1"]}},
        "w1: it is in group outside and in group workers; take it out of one of them: outside hosts must survive the cluster",
    ),
    (
        {"groups": {**HA, "etcd": ["m1", "m2"]}},
        "group etcd: it has 2 members, an even number; make it 1 or 3: 2 survive no more failures than 1",
    ),
    (
        {"groups": {**HA, "workers": ["W_1"]}},
        "W_1: its name is not a DNS-1123 label; use 1 to 63 of a-z, 0-9 and '-', not '-' at an end (ansible_host may be any name)",
    ),
    (
        {"addresses": {"w1": "192.0.2.200", "w2": "192.0.2.200"}},
        "w1, w2: they have the same address 192.0.2.200; give each its own (ansible_host or cluster_host_ip)",
    ),
    (
        {"changed": {"w1": {"machine_id": "x"}, "m1": {"machine_id": "x"}}},
        "m1, w1: they have the same machine id x; they are clones: empty /etc/machine-id on all but one and run systemd-machine-id-setup there",
    ),
    ({"settings": {"name": "My cluster"}}, "cluster_name: 'My cluster' is not a DNS-1123 label; use a-z, 0-9 and '-'"),
    ({"settings": {"domain": "cluster..local"}}, "cluster_domain: 'cluster..local' is not a DNS domain; use one such as cluster.local"),
    (
        {"settings": {"state_dir": ""}},
        "cluster_state_dir: there is no inventory folder to keep the state in; set it to a folder on the control node",
    ),
    (
        {"variables": {"w1": {"kubelet_labels": {"node-role.kubernetes.io/worker": "", "rack": "1", "topology.kubernetes.io/zone": "a"}}}},
        "kubelet_labels (w1): a kubelet may not give itself the label node-role.kubernetes.io/worker; label the node with kubectl, or use a name of your own",
    ),
    (
        {"variables": {"w1": {"kubelet_taints": [{"key": "gpu", "effect": "Never"}]}}},
        "kubelet_taints (w1): {'key': 'gpu', 'effect': 'Never'} is not a taint; give it a key, an effect (NoSchedule, PreferNoSchedule, NoExecute) and perhaps a value",
    ),
]
NETWORK_ERRORS = [
    (
        {"settings": {"pod_network": "10.244.0.1/16"}},
        "cluster_pod_network: '10.244.0.1/16' is not an IPv4 network; write it as 10.244.0.0/16, no bit after the prefix",
    ),
    (
        {"settings": {"service_network": "fd00::/112"}},
        "cluster_service_network: 'fd00::/112' is not an IPv4 network; write it as 10.244.0.0/16, no bit after the prefix",
    ),
    (
        {"settings": {"service_network": "10.244.128.0/20"}},
        "cluster_pod_network: 10.244.0.0/16 overlaps cluster_service_network 10.244.128.0/20; choose networks that share no address",
    ),
    (
        {"settings": {"host_networks": ["172.16.0.0/12", "10.96.8.0/24"]}},
        "cluster_host_networks: 10.96.8.0/24 overlaps cluster_service_network 10.96.0.0/16; choose networks that share no address",
    ),
    (
        {"addresses": {"w1": "10.244.7.1"}},
        "cluster_pod_network (w1): 10.244.0.0/16 contains the address 10.244.7.1 of a host; choose a network that no host uses",
    ),
    ({"addresses": {"w1": "worker.example.org"}}, f"w1: its address 'worker.example.org' is not an IPv4 address; {HOST_ADDRESS}"),
    ({"addresses": {"w1": "127.0.0.1"}}, f"w1: other hosts cannot reach its address 127.0.0.1; {HOST_ADDRESS}"),
    (
        {"settings": {"service_network": "10.96.0.0/29"}},
        "cluster_service_network: 10.96.0.0/29 has no room for the DNS address (its 10th); make it /28 or larger, or set cluster_dns_address",
    ),
    (
        {"settings": {"service_network": "10.96.0.0/11"}},
        "cluster_service_network: the API server does not take a prefix of /11; choose one from /12 to /29",
    ),
    (
        {"settings": {"dns_address": "10.97.0.10"}},
        "cluster_dns_address: 10.97.0.10 lies outside cluster_service_network 10.96.0.0/16; leave it empty or choose one of that network",
    ),
    (
        {"settings": {"dns_address": "10.96.0.1"}},
        "cluster_dns_address: 10.96.0.1 has another use (network, API server or broadcast); leave it empty or choose one from 10.96.0.2 to 10.96.255.254",
    ),
    ({"settings": {"dns_address": "ten"}}, "cluster_dns_address: 'ten' is not an IPv4 address; leave it empty or choose one of 10.96.0.0/16"),
    (
        {"settings": {"pod_network": "10.244.0.0/22"}},
        "cluster_pod_network: 10.244.0.0/22 has room for 4 node(s) of /24, the inventory has 5; choose a larger network or raise cluster_node_cidr_size",
    ),
    (
        {"settings": {"node_cidr_size": 12}},
        "cluster_node_cidr_size: /12 is no part of cluster_pod_network 10.244.0.0/16; choose one from 16 to 29",
    ),
    (
        {"settings": {"node_cidr_size": 26}, "variables": {name: {"kubelet_config": {"maxPods": 50}} for name in ("m1", "m2", "m3", "w2")}},
        "cluster_node_cidr_size (w1): /26 has addresses for 61 pods, the kubelet takes 110; lower it, or set kubelet_config.maxPods to 61",
    ),
    (
        {"settings": {"endpoint": "https://api:6443"}},
        "cluster_endpoint: 'https://api:6443' is not host or host:port; write it as api.example.org or api.example.org:6443",
    ),
    (
        {"settings": {"vip": "192.0.2.1"}},
        "cluster_vip (m1): 192.0.2.1 is the address of a host; set a free address of the masters' network, or leave it empty",
    ),
    (
        {"settings": {"vip": "10.96.0.5"}},
        "cluster_vip: 10.96.0.5 lies in cluster_service_network 10.96.0.0/16; set a free address of the masters' network, or leave it empty",
    ),
    ({"settings": {"vip": "api"}}, "cluster_vip: 'api' is not an IPv4 address; set a free address of the masters' network, or leave it empty"),
]
VERSION_ERRORS = [
    ({"settings": {"kubernetes_version": "1.30.0"}}, "cluster_kubernetes_version: 1.30.0 is not supported; choose one of 1.36.1, 1.36.3, 1.37.2"),
    (
        {"versions": []},
        "cluster_kubernetes_version: 1.37.2 is not supported; install the collection again: its lock file (roles/artifacts/files/lock.yml) lists no version",
    ),
    (
        {"changed": {"m1": {"versions": {"kube-apiserver": "v1.35.4"}}}},
        "cluster_kubernetes_version (m1): kube-apiserver v1.35.4 runs, 1.37.2 skips a minor version; go to 1.36.3 first",
    ),
    (
        {"changed": {"w1": {"versions": {"kubelet": "1.33.0"}}}},
        "cluster_kubernetes_version (w1): kubelet 1.33.0 runs, 1.37.2 skips a minor version; go to 1.34 first",
    ),
    (
        {"settings": {"kubernetes_version": "1.36.3"}, "changed": {"m1": {"versions": {"kube-apiserver": "1.37.2"}}}},
        "cluster_kubernetes_version (m1): kube-apiserver 1.37.2 runs, 1.36.3 is older; keep the minor version that runs: Kubernetes cannot go back to an older one",
    ),
]
HOST_ERRORS = [
    (
        {"w1": {"unreachable": True, "msg": "Task failed: Failed to connect to the host via ssh:\n  Connection refused."}},
        f"w1: it cannot be reached: Failed to connect to the host via ssh: Connection refused; start it, {LEAVE_OUT}",
    ),
    ({"w1": {"failed": True, "msg": "no Python"}}, f"w1: it could not be examined: no Python; repair it, {LEAVE_OUT}"),
    (
        {"w1": {"distribution_version": "11"}, "w2": {"distribution_version": "11"}},
        "w1, w2: it runs debian 11; install Debian 12 or 13, Ubuntu 22.04 or 24.04, or RHEL 9 or a rebuild of it",
    ),
    (
        {"o1": {"os_family": "RedHat", "distribution": "rocky", "distribution_version": "8.10"}},
        "o1: it runs rocky 8.10; install Debian 12 or 13, Ubuntu 22.04 or 24.04, or RHEL 9 or a rebuild of it",
    ),
    ({"w1": {"architecture": "riscv64"}}, "w1: its architecture is riscv64; use one of amd64, arm64"),
    ({"w1": {"python": "3.8.10"}}, "w1: its Python is 3.8.10; install 3.9 or newer and set ansible_python_interpreter"),
    ({"w1": {"systemd": None}}, "w1: its init is not systemd; boot it with systemd: every component is a systemd service"),
    ({"w1": {"machine_id": ""}}, "w1: its /etc/machine-id is empty; run systemd-machine-id-setup on it"),
    (
        {"w1": {"swap_bytes": 2**30}, "o1": {"swap_bytes": 2**30}},
        "w1: swap is on, with which the kubelet does not start; run swapoff -a and remove swap from /etc/fstab, or set kubelet_config.failSwapOn to false",
    ),
    (
        {"m1": {"cgroup": "v1"}, "o1": {"cgroup": "v1"}},
        "m1: it has cgroup v1, with which the kubelet does not start; boot with systemd.unified_cgroup_hierarchy=1, or set kubelet_config.failCgroupV1 to false",
    ),
    ({"m1": {"mtu": None}, "o1": {"mtu": None}}, "m1: none of its interfaces has 192.0.2.1; set cluster_host_ip to an address of its own"),
    ({"m1": {"memory_bytes": 1024 * 2**20}, "w1": {"memory_bytes": 1024 * 2**20}}, "m1: it has 1024 MiB of memory; give it 1700 MiB or more"),
    ({"w1": {"memory_bytes": 512 * 2**20}, "o1": {"memory_bytes": 512 * 2**20}}, "w1: it has 512 MiB of memory; give it 700 MiB or more"),
    ({"w1": {"disk_free": {"/var/lib": 2**30}}}, "w1: /var/lib has 1024 MiB left; make it 2048 MiB or more"),
    (
        {"w1": {"disk_free": {"/usr/local": 2**28}, "versions": {"kubelet": "1.37.2"}}, "w2": {"disk_free": {"/usr/local": 2**30}, "versions": {"kubelet": "1.37.2"}}},
        "w1: /usr/local has 256 MiB left; make it 512 MiB or more",
    ),
    ({"w1": {"clock": {"before": 100.0, "host": 98.5, "after": 100.2}}}, f"w1: its clock is 1.5 s behind the control node's; {TIME}"),
    ({"w1": {"clock": {"before": 100.0, "host": 103.0, "after": 100.5}}}, f"w1: its clock is 2.5 s ahead of the control node's; {TIME}"),
    (
        {"m1": {"clock": {"before": 100.0, "host": 99.2, "after": 100.1}}, "w1": {"clock": {"before": 100.0, "host": 100.9, "after": 100.1}}},
        f"w1: its clock is at least 1.6 s ahead of m1's; {TIME}",
    ),
    ({"m1": listener(6443, "nginx")}, "m1: port 6443/tcp of kube_apiserver is taken by nginx on 0.0.0.0; stop that program"),
    ({"w1": listener(10250, "k3s-agent", "::")}, "w1: port 10250/tcp of kubelet is taken by k3s-agent on ::; stop that program, or set kubelet_config.port"),
    ({"w1": listener(7443, None, "127.0.0.1")}, "w1: port 7443/tcp of loadbalancer is taken by a program that cannot be seen on 127.0.0.1; stop that program"),
    ({"o1": listener(5000, "docker-proxy")}, "o1: port 5000/tcp of registry is taken by docker-proxy on 0.0.0.0; stop that program, or set registry_port"),
    ({"w1": listener(8472, "cilium", proto="udp")}, "w1: port 8472/udp of overlay is taken by cilium on 0.0.0.0; stop that program, or set overlay_vxlan_port"),
]  # fmt: skip
FINE = [
    {},
    {"groups": {"masters": ["m1"], "workers": ["w1"], "outside": ["o1"]}},
    {"groups": {"masters": ["m1"], "workers": ["m1"], "outside": ["o1"]}},
    {"groups": {**HA, "etcd": ["e1", "e2", "e3"]}},
    {"settings": {"dns_address": "10.96.0.53", "endpoint": "api.example.org:443", "vip": "192.0.2.100"}},
    {"settings": {"service_network": "10.96.0.0/28", "host_networks": ["192.0.2.0/24"]}},
    {"settings": {"kubernetes_version": "1.36.3"}, "versions": ["1.36.3"]},
    {"changed": {"m1": {"versions": {"kube-apiserver": "1.36.1"}}, "w1": {"versions": {"kubelet": "v1.34.4", "containerd": "2.4.2"}}}},
    {"changed": {"w1": {"swap_bytes": 1, "cgroup": "v1"}}, "variables": {"w1": {"kubelet_config": {"failSwapOn": False, "failCgroupV1": False}}}},
    {"changed": {"m1": listener(6443, "kube-apiserver", "::"), "o1": listener(6443, "haproxy"), "w1": listener(6443, "nginx")}},
    {"changed": {"w1": listener(8472, None, proto="udp")}},
    {"changed": {"w1": listener(10248, "other", "192.0.2.9")}},
    {"changed": {"o1": listener(5000, "other")}, "variables": {"o1": {"registry_port": 5001}}},
    {"changed": {"o1": {"os_family": "RedHat", "distribution": "rocky", "distribution_version": "9.4", "architecture": "arm64"}}},
    {"changed": {"o1": {"distribution": "ubuntu", "distribution_version": "24.04", "python": "3.12.3"}}},
    {"variables": {"w1": {"kubelet_taints": [{"key": "gpu", "effect": "NoExecute", "value": "x"}], "kubelet_labels": {"node.kubernetes.io/pool": "a"}}}},
]  # fmt: skip


@pytest.mark.parametrize(("changes", "line"), GROUP_ERRORS + NETWORK_ERRORS + VERSION_ERRORS)
def test_error_is_the_only_one(make: Make, changes: dict[str, Any], line: str) -> None:
    """The report names the variable, group or host, what is wrong and what to do."""
    assert report(validate(make(**changes))) == [line]


@pytest.mark.parametrize(("changed", "line"), HOST_ERRORS)
def test_host_error_is_the_only_one(make: Make, changed: dict[str, Any], line: str) -> None:
    """The same for what a host says about itself."""
    assert report(validate(make(changed=changed))) == [line]


@pytest.mark.parametrize("changes", FINE)
def test_good_inventory_has_no_error(make: Make, changes: dict[str, Any]) -> None:
    """Nothing that is allowed is refused."""
    assert report(validate(make(**changes))) == []


def test_all_errors_at_once(make: Make) -> None:
    """One run is enough to see everything."""
    lines = report(
        validate(
            make(
                groups={"masters": ["m1", "m2"], "workers": ["w1"], "outside": ["o1"]},
                settings={"service_network": "10.244.0.0/24", "kubernetes_version": "1.1.1"},
                changed={"w1": {"swap_bytes": 1, "python": "3.6.8"}},
            )
        )
    )
    assert [line.split(":")[0] for line in lines] == ["group etcd", "cluster_pod_network", "cluster_kubernetes_version", "w1", "w1"]


def test_hosts_that_were_not_asked_are_only_checked_by_their_variables(make: Make) -> None:
    """With --limit the others have no facts."""
    inventory = make()
    inventory.hosts["w1"].facts.clear()  # type: ignore[attr-defined]
    assert [host.name for host in inventory.answered()] == ["m1", "m2", "m3", "w2", "o1"]
    assert validate(inventory) == []


def test_names_of_many_hosts_are_shortened() -> None:
    """A thousand hosts with one mistake make one line."""
    errors = [Error("it is wrong", "fix it", "kubelet_config", f"w{index}") for index in range(1000)]
    (line,) = report(errors)
    assert line == "kubelet_config (w0, w1, w2, w3, w4, w5, w6, w7 and 992 more): it is wrong; fix it"
