# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What users do with a cluster: pods that reach each other and Services, logs, exec, top."""

from __future__ import annotations

import pytest
from ansible_collections.selfhosted.kubernetes.tests.lab.support import (
    KUBECTL,
    MASTERS,
    NODES,
    OPERATOR,
    WORKERS,
    Lab,
    address,
    agnhost,
    wait_until,
)

# A pod on each worker and on one master: what runs there (webhooks, aggregated APIs) is reachable, too.
PLACES = [*WORKERS, MASTERS[0]]
PAIRS = list(zip(PLACES, PLACES[1:] + PLACES[:1], strict=True))


@pytest.fixture(scope="module")
def pods(lab: Lab, namespace: str) -> dict[str, str]:
    """A running pod on each place, with a Service of the same name; their addresses."""
    lab.apply(
        *(agnhost(f"on-{place}", namespace, place) for place in PLACES),
        *(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {"name": f"on-{place}", "namespace": namespace},
                "spec": {"selector": {"app": f"on-{place}"}, "ports": [{"port": 80, "targetPort": 8080}]},
            }
            for place in PLACES
        ),
    )
    lab.kubectl(f"wait --namespace={namespace} --for=condition=Ready --timeout=60s pod --all")
    running = lab.get(f"pods --namespace={namespace}")["items"]
    return {pod["spec"]["nodeName"]: pod["status"]["podIP"] for pod in running}


def connect(lab: Lab, namespace: str, place: str, target: str) -> None:
    """Connect from the pod on the place; a Service's rules may be a moment behind its pod."""
    command = f"exec --namespace={namespace} on-{place} -- /agnhost connect --timeout=2s %s"
    wait_until(lambda: lab.try_kubectl(command, target).rc == 0, 10, f"connection from {place} to {target}")


@pytest.mark.parametrize(("place", "other"), PAIRS)
def test_pod_reaches_the_pod_on_another_node(
    lab: Lab, namespace: str, pods: dict[str, str], place: str, other: str
) -> None:
    """By address."""
    connect(lab, namespace, place, f"{pods[other]}:8080")


@pytest.mark.parametrize(("place", "other"), PAIRS)
def test_pod_reaches_a_service_by_dns_name(
    lab: Lab, namespace: str, pods: dict[str, str], place: str, other: str
) -> None:
    """The Service's only pod is on the other node."""
    assert other in pods
    connect(lab, namespace, place, f"on-{other}.{namespace}.svc.cluster.local:80")


def test_pod_reaches_a_service_by_short_name(lab: Lab, namespace: str, pods: dict[str, str]) -> None:
    """The kubelet gives pods the search domains."""
    assert pods
    connect(lab, namespace, WORKERS[0], f"on-{WORKERS[-1]}:80")


def test_pod_reaches_the_api(lab: Lab, namespace: str, pods: dict[str, str]) -> None:
    """By the Service that every cluster has."""
    assert pods
    connect(lab, namespace, WORKERS[0], "kubernetes.default.svc.cluster.local:443")


def test_node_reaches_a_service(lab: Lab, namespace: str, pods: dict[str, str], node: str) -> None:
    """Webhooks are called so by the API server."""
    other = next(place for place in PLACES if place != node)
    assert other in pods
    cluster_ip = lab.get(f"service --namespace={namespace} on-{other}")["spec"]["clusterIP"]
    curl = f"curl --silent --show-error --fail --max-time 5 --retry 3 --retry-all-errors http://{cluster_ip}/hostname"
    assert lab.run(node, curl) == f"on-{other}"


def test_logs(lab: Lab, namespace: str, pods: dict[str, str]) -> None:
    """Of a pod on each place: the API server reaches each kubelet and trusts its certificate."""
    for place in pods:
        assert "Started HTTP server on port 8080" in lab.kubectl(f"logs --namespace={namespace} on-{place}")


def test_exec(lab: Lab, namespace: str, pods: dict[str, str]) -> None:
    """The output of a command in the pod."""
    for place in pods:
        assert "Usage:" in lab.kubectl(f"exec --namespace={namespace} on-{place} -- /agnhost help")


def test_port_forward(lab: Lab, namespace: str, pods: dict[str, str]) -> None:
    """Through the API server to a pod."""
    place = next(iter(pods))
    script = (
        f"{KUBECTL} port-forward --namespace={namespace} pod/on-{place} 18080:8080 >/dev/null 2>&1 & pid=$!;"
        " curl --silent --retry 30 --retry-delay 1 --retry-connrefused --max-time 20 http://127.0.0.1:18080/hostname;"
        " kill $pid"
    )
    assert lab.run(OPERATOR, script) == f"on-{place}"


def test_top_nodes(lab: Lab) -> None:
    """metrics-server has figures of every node; a rate needs two readings, 15 s apart, of a new kubelet."""

    def complete() -> bool:
        lines = [line.split() for line in lab.try_kubectl("top nodes --no-headers").stdout.splitlines()]
        figures = all(fields[1].endswith("m") and fields[3].endswith("Mi") for fields in lines)
        return sorted(fields[0] for fields in lines) == sorted(NODES) and figures

    wait_until(complete, 60, "kubectl top nodes")


def test_top_pods(lab: Lab) -> None:
    """And of pods."""
    assert "coredns" in lab.kubectl("top pods --no-headers --namespace=kube-system")


def test_pods_have_addresses_of_the_pod_network(pods: dict[str, str]) -> None:
    """Not those of their nodes."""
    assert len(set(pods.values())) == len(PLACES)
    assert not set(pods.values()) & {address(node) for node in NODES}


def test_packets_of_pods_fit_into_those_of_nodes(lab: Lab, pods: dict[str, str], node: str) -> None:
    """VXLAN adds 50 bytes; an answer of several full packets arrives."""
    underlay = int(lab.run(node, "cat /sys/class/net/eth0/mtu"))
    assert int(lab.run(node, "cat /sys/class/net/flannel.1/mtu")) == underlay - 50
    other = next(place for place in PLACES if place != node)
    text = "x" * 6000
    assert lab.run(node, f"curl --silent --fail --max-time 5 'http://{pods[other]}:8080/echo?msg={text}'") == text


def test_pods_are_filtered_by_seccomp(lab: Lab, pods: dict[str, str]) -> None:
    """By the runtime's default profile, though they ask for none; 2 is a filter."""
    for place in pods:
        process = "/proc/$(pgrep --oldest --full 'agnhost netexec --http-port=8080')"
        assert lab.run(place, f"grep ^Seccomp: {process}/status").split() == ["Seccomp:", "2"]
