# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster is whole: nodes, API servers, etcd, ways to the API, images."""

from __future__ import annotations

import json

import pytest
from ansible_collections.selfhosted.kubernetes.tests.lab.support import (
    MASTERS,
    NODES,
    OPERATOR,
    PKI,
    VERSION,
    Lab,
    address,
)

# roles/etcd: 8 GiB, 8 hours.
ETCD = {
    "quota-backend-bytes": 8 << 30,
    "auto-compaction-mode": "periodic",
    "auto-compaction-retention": "8h0m0s",
}
REGISTRY_PORT = 5000
MEDIA_TYPES = [f"application/vnd.oci.image.{kind}.v1+json" for kind in ("manifest", "index")]
STATUS = (
    "curl --silent --output /dev/null --write-out '%%{http_code}'"
    f" --cacert /etc/kubernetes/pki/outside-ca.crt --header 'Accept: {', '.join(MEDIA_TYPES)}'"
)


@pytest.fixture(scope="module")
def status_of_pull() -> str:
    """Asked as nodes do."""
    return f"{STATUS} --user pull:{(PKI / 'keys/registry-pull').read_text().strip()}"


def test_nodes_are_ready(lab: Lab) -> None:
    """Every node of the inventory, no other, at the version that was asked for."""
    nodes = lab.get("nodes")["items"]
    assert sorted(node["metadata"]["name"] for node in nodes) == sorted(NODES)
    for node in nodes:
        conditions = {condition["type"]: condition["status"] for condition in node["status"]["conditions"]}
        assert conditions["Ready"] == "True", node["metadata"]["name"]
        assert node["status"]["nodeInfo"]["kubeletVersion"] == VERSION


def test_masters_are_tainted(lab: Lab) -> None:
    """Pods of users go to workers."""
    nodes = {node["metadata"]["name"]: node["spec"].get("taints", []) for node in lab.get("nodes")["items"]}
    tainted = {
        name
        for name, taints in nodes.items()
        if {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"} in taints
    }
    assert tainted == set(MASTERS)


def test_every_check_of_readyz_is_ok(lab: Lab, master: str) -> None:
    """Asked of each API server itself, with its certificate checked."""
    lines = lab.kubectl(f"--server=https://{address(master)}:6443 get --raw '/readyz?verbose'").splitlines()
    assert lines[-1] == "readyz check passed"
    assert [line for line in lines[:-1] if not (line.startswith("[+]") and line.endswith(" ok"))] == []
    assert "[+]etcd ok" in lines


def test_api_server_has_the_version(lab: Lab, master: str) -> None:
    """As the nodes have."""
    assert f'"gitVersion": "{VERSION}"' in lab.kubectl(f"--server=https://{address(master)}:6443 get --raw /version")


def test_local_load_balancer_answers(lab: Lab, machine: str) -> None:
    """The way of kubelet, kube-proxy and flanneld, and of kubectl on the outside host."""
    curl = "curl --silent --show-error --fail --cacert /etc/kubernetes/pki/ca.crt https://127.0.0.1:7443/readyz"
    assert lab.run(machine, curl) == "ok"


def test_plain_etcdctl_works_for_root(lab: Lab, master: str) -> None:
    """Without an option, and it sees all members."""
    done = lab[master].run("etcdctl endpoint health")
    assert done.rc == 0, done.stderr
    # etcdctl reports on stderr.
    healthy = [line for line in (done.stdout + done.stderr).splitlines() if " is healthy" in line]
    assert len(healthy) == len(MASTERS)


def test_etcd_has_one_leader_and_no_learner(lab: Lab) -> None:
    """Members are the masters."""
    lines = lab.run(MASTERS[0], "etcdctl member list").splitlines()
    assert sorted(line.split(", ")[2] for line in lines) == MASTERS
    assert {(line.split(", ")[1], line.split(", ")[5]) for line in lines} == {("started", "false")}
    status = [line.split(", ") for line in lab.run(MASTERS[0], "etcdctl endpoint status").splitlines()]
    assert len([fields for fields in status if "true" in fields]) == 1


def test_etcd_limits_its_size_and_its_history(lab: Lab, master: str) -> None:
    """Not in its file, but in the process: by its metric, and by what it said when it started."""
    metrics = lab.run(master, "curl --silent --fail http://127.0.0.1:2381/metrics").splitlines()
    (quota,) = [float(line.split()[1]) for line in metrics if line.startswith("etcd_server_quota_backend_bytes ")]
    assert quota == ETCD["quota-backend-bytes"]
    this = "$(systemctl show --property=InvocationID --value etcd)"
    journal = f"journalctl --output=cat _SYSTEMD_INVOCATION_ID={this}"
    said = json.loads(lab.run(master, f'{journal} | grep --max-count=1 \'"msg":"starting an etcd server"\''))
    assert {key: said[key] for key in ETCD} == ETCD


@pytest.mark.parametrize("lease", ["kube-controller-manager", "kube-scheduler"])
def test_leader_is_elected(lab: Lab, lease: str) -> None:
    """One of the masters holds the lease."""
    holder = lab.get(f"lease --namespace=kube-system {lease}")["spec"]["holderIdentity"]
    assert holder.split("_")[0] in MASTERS


def test_coredns_is_spread_over_nodes(lab: Lab) -> None:
    """Two replicas, never on one node."""
    pods = lab.get("pods --namespace=kube-system --selector=k8s-app=kube-dns")["items"]
    assert len({pod["spec"]["nodeName"] for pod in pods}) == 2


def test_coredns_may_lose_one_pod_at_a_time(lab: Lab) -> None:
    """Its PodDisruptionBudget counts both, and is kept by a drain."""
    status = lab.get("poddisruptionbudget --namespace=kube-system coredns")["status"]
    budget = {key: status[key] for key in ("expectedPods", "currentHealthy", "desiredHealthy", "disruptionsAllowed")}
    assert budget == {"expectedPods": 2, "currentHealthy": 2, "desiredHealthy": 1, "disruptionsAllowed": 1}


@pytest.mark.parametrize(
    ("path", "answer"),
    [(":8080/health", "OK"), (":8181/ready", "OK"), (":9153/metrics", "\ncoredns_dns_requests_total")],
)
def test_coredns_tells_of_itself(lab: Lab, path: str, answer: str) -> None:
    """Each pod, to kubelets and to whoever collects metrics."""
    for pod in lab.get("pods --namespace=kube-system --selector=k8s-app=kube-dns")["items"]:
        assert answer in lab.run(MASTERS[0], f"curl --silent --fail --max-time 5 http://{pod['status']['podIP']}{path}")


def test_images_came_from_the_outside_registry(lab: Lab, status_of_pull: str) -> None:
    """The registry on the outside host serves the very digests that run; nodes are told of no other place."""
    running = {
        container["imageID"]
        for pod in lab.get("pods --all-namespaces --field-selector=status.phase=Running")["items"]
        for container in pod["status"]["containerStatuses"]
    }
    assert running
    for image in running:
        path, digest = image.split("@")
        url = f"https://127.0.0.1:{REGISTRY_PORT}/v2/{path}/manifests/{digest}"
        assert lab.operator.run(f"{status_of_pull} --head %s", url).stdout == "200", image


def test_what_the_cluster_runs_is_named_by_digest(lab: Lab, status_of_pull: str) -> None:
    """Who may push may push another image under a tag; with what nodes know nobody may delete one."""
    pods = lab.get("pods --namespace=kube-system")["items"]
    images = {container["image"] for pod in pods for container in pod["spec"]["containers"]}
    sandboxes = [lab.run(node, "grep -w sandbox /etc/containerd/config.toml") for node in NODES]
    assert [image for image in (*images, *sandboxes) if "@sha256:" not in image] == []
    path, digest = images.pop().split("@")
    url = f"https://127.0.0.1:{REGISTRY_PORT}/v2/{path.rsplit(':', 1)[0]}/manifests/{digest}"
    assert lab.operator.run(f"{status_of_pull} --request DELETE %s", url).stdout == "401"
    assert lab.operator.run(f"{STATUS} --head %s", url).stdout == "401"
    assert lab.operator.run(f"{status_of_pull} --head %s", url).stdout == "200"


def test_an_image_of_a_registry_that_is_not_listed_is_not_found(lab: Lab, node: str) -> None:
    """The outside registry says so; nobody looks for the other one."""
    done = lab[node].run("ctr images pull --hosts-dir /etc/containerd/certs.d registry.example.org/team/app:1")
    assert done.rc != 0
    assert "registry.example.org/team/app:1: not found" in done.stderr


def test_nodes_know_no_other_registry(lab: Lab, node: str) -> None:
    """Whatever an image's name begins with."""
    urls = lab.run(node, "grep -rhoE 'https?://[^/\"]*' /etc/containerd/certs.d").split()
    assert set(urls) == {f"https://{address(OPERATOR)}:{REGISTRY_PORT}"}
