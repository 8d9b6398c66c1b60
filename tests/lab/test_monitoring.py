# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Monitoring on the outside host: it sees everything, nobody else may, and it tells of the end of the API in time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ansible_collections.selfhosted.kubernetes.tests.lab.monitoring import (
    ALERT_SECONDS,
    TARGETS_SECONDS,
    down,
    listen,
    messages,
    no_longer_listen,
    query,
    quiet,
)
from ansible_collections.selfhosted.kubernetes.tests.lab.support import (
    CA,
    MACHINES,
    MASTERS,
    NODES,
    OPERATOR,
    OUTSIDE,
    Lab,
    address,
    start_masters,
    stop_masters,
    wait_until,
)

STATUS = "curl --silent --insecure --max-time 5 --output /dev/null --write-out '%%{http_code}' %s"


@pytest.fixture(scope="module")
def webhook(lab: Lab) -> Iterator[None]:
    """Somebody who is told."""
    listen(lab)
    yield
    no_longer_listen(lab)


@pytest.fixture
def no_masters(lab: Lab, webhook: None) -> Iterator[float]:
    """All of them are shut down, since this moment, and back afterwards."""
    assert webhook is None
    quiet(lab)
    began = float(lab.run(OPERATOR, "date +%s.%N"))
    stop_masters()
    yield began
    start_masters(lab)


def test_everything_is_seen(lab: Lab) -> None:
    """All targets of the inventory are up; every job is there on every host that has it."""
    wait_until(lambda: down(lab) == [], TARGETS_SECONDS, "all targets are up")
    found: dict[str, set[str]] = {}
    for it in query(lab, "up"):
        found.setdefault(it["metric"]["job"], set()).add(it["metric"]["instance"])
    of_every_node = ("containerd", "kube-proxy", "kubelet", "cadvisor", "coredns", "probe-flanneld", "vlagent")
    of_nodes = dict.fromkeys(of_every_node, NODES)
    of_masters = dict.fromkeys(("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"), MASTERS)
    of_every_outside = ("registry", "probe-registry-front", "probe-git", "kube-state-metrics", "victoria-logs")
    of_outside = dict.fromkeys((*of_every_outside, "probe-logging-front"), OUTSIDE)
    everywhere = dict.fromkeys(("node", "kube-loadbalancer"), MACHINES)
    for job, hosts in {**of_nodes, **of_masters, **of_outside, **everywhere}.items():
        assert found[job] == set(hosts), job
    # Each pod is seen once, on its node.
    pods = lab.get("pods --namespace=kube-system --selector=k8s-app=kube-dns")["items"]
    seen = {it["metric"]["node"] for it in query(lab, "coredns_build_info")}
    assert seen == {pod["spec"]["nodeName"] for pod in pods}
    assert len(query(lab, 'kube_node_status_condition{condition="Ready", status="true"} == 1')) == len(NODES)
    assert query(lab, 'container_memory_working_set_bytes{namespace="kube-system", container="coredns"}')
    assert query(lab, "haproxy_server_status") != []


@pytest.mark.parametrize(
    ("port", "path"),
    [
        (9443, "/node"),
        (9443, "/etcd"),
        (6443, "/metrics"),
        (10250, "/metrics"),
        (10250, "/metrics/cadvisor"),
        (10257, "/metrics"),
        (10259, "/metrics"),
    ],
)
def test_nobody_else_reads_metrics(lab: Lab, port: int, path: str) -> None:
    """Without a certificate there is no answer, or none with metrics."""
    answer = lab.operator.run(STATUS, f"https://{address(MASTERS[0])}:{port}{path}").stdout
    assert answer in ("000", "401", "403")


@pytest.mark.parametrize("port", [9090, 9093])
def test_nobody_else_looks_at_alerts(lab: Lab, port: int) -> None:
    """Prometheus and Alertmanager want a certificate."""
    assert lab.operator.run(STATUS, f"https://127.0.0.1:{port}/").stdout == "000"


@pytest.mark.parametrize("port", [9100, 9115, 7444, 8381])
def test_plain_metrics_stay_on_the_host(lab: Lab, port: int) -> None:
    """Nothing listens to others but the gate."""
    for name in OUTSIDE:
        assert lab[name].run(STATUS, f"http://{address(name)}:{port}/metrics").stdout == "000"


def test_prometheus_may_read_metrics_only(lab: Lab) -> None:
    """As the user that its certificate names."""
    pair = "--cert /etc/monitoring/kubernetes-client.crt --key /etc/monitoring/kubernetes-client.key"
    api = f"https://{address(MASTERS[0])}:6443"
    for path, wanted in (("/metrics", "200"), ("/api/v1/pods", "403"), ("/api/v1/nodes", "403")):
        command = f"curl --silent --output /dev/null --write-out '%%{{http_code}}' --cacert {CA} {pair} %s"
        assert lab.run(OPERATOR, command, f"{api}{path}") == wanted, path


def test_watchdog_fires_and_is_sent(lab: Lab, webhook: None) -> None:
    """To the heartbeat, and to nobody else."""
    assert webhook is None
    assert query(lab, 'ALERTS{alertname="Watchdog", alertstate="firing"}')
    wait_until(lambda: bool(messages(lab, "/heartbeat", "Watchdog")), 150, "the heartbeat comes")
    assert messages(lab, "/ops", "Watchdog") == []


def test_the_end_of_the_api_is_told_within_a_minute(lab: Lab, no_masters: float) -> None:
    """And Prometheus still knows of before and after."""

    def told() -> list[float]:
        """Seconds from the end, of each message."""
        return [it - no_masters for it in messages(lab, "/ops", "KubeAPIDown") if it > no_masters]

    wait_until(lambda: told() != [], ALERT_SECONDS, "the message about the API comes")
    print(f"\nfrom the first master's end to the message: {told()[0]:.1f} s")  # noqa: T201
    assert told()[0] < ALERT_SECONDS
    before = query(lab, 'sum(probe_success{job="probe-readyz"})', no_masters - 5)
    assert before[0]["value"][1] == str(len(MASTERS))
    assert query(lab, 'sum(probe_success{job="probe-readyz"})')[0]["value"][1] == "0"
    # What does not ask the API goes on being seen.
    end = float(lab.run(OPERATOR, "date +%s"))

    def seen() -> set[str]:
        """Nodes that answered since."""
        up = 'up{job="containerd"}'
        return {it["metric"]["instance"] for it in query(lab, f"timestamp({up}) > {end} and {up} == 1")}

    wait_until(lambda: seen() == set(NODES) - set(MASTERS), TARGETS_SECONDS, "workers are seen, and masters are not")


def test_the_outside_host_is_small(lab: Lab) -> None:
    """With everything on it idles under 1.5 GiB."""
    for name in OUTSIDE:
        # Of its services, page cache apart.
        sizes = lab.run(name, "ps -e -o rss= | awk '{sum += $1} END {print sum}'")
        print(f"\n{name}: {int(sizes) / 1024:.0f} MiB")  # noqa: T201
        assert int(sizes) < 1.5 * 2**20
