# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Monitoring on the outside host: it sees everything, nobody else may, and it tells of the end of the API in time."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from ansible_collections.selfhosted.kubernetes.tests.lab.support import (
    CA,
    MACHINES,
    MASTERS,
    NODES,
    OPERATOR,
    OUTSIDE,
    Lab,
    address,
    docker,
    start_masters,
    wait_until,
)

OUTSIDE_CA = "/etc/kubernetes/pki/outside-ca.crt"
CERTIFICATE = "--cert /etc/monitoring/client.crt --key /etc/monitoring/client.key"
STATUS = "curl --silent --insecure --max-time 5 --output /dev/null --write-out '%%{http_code}' %s"
# As the lab's inventory says (monitoring_receivers); `heartbeat` comes by the same way.
RECEIVER = ("0.0.0.0", 9999)
MESSAGES = "/run/webhook.jsonl"
# Each body that is posted becomes a line, with the time and the path.
PROGRAM = f"""
import http.server, json, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with open({MESSAGES!r}, "a") as file:
            print(json.dumps([time.time(), self.path, body]), file=file, flush=True)
        self.send_response(200)
        self.end_headers()
http.server.ThreadingHTTPServer({RECEIVER!r}, Handler).serve_forever()
"""
ALERT_SECONDS = 60
# A target is asked every 15 s, certificates every 2 minutes.
TARGETS_SECONDS = 180


def query(lab: Lab, expression: str, moment: float | None = None) -> list[dict[str, Any]]:
    """Series that Prometheus has, now or at a moment."""
    asked = urlencode({"query": expression, **({"time": moment} if moment else {})})
    url = f"https://127.0.0.1:9090/api/v1/query?{asked}"
    answer = json.loads(lab.run(OPERATOR, f"curl --silent --cacert {OUTSIDE_CA} {CERTIFICATE} %s", url))
    assert answer["status"] == "success", answer
    found: list[dict[str, Any]] = answer["data"]["result"]
    return found


def down(lab: Lab) -> list[str]:
    """What does not answer."""
    series = [*query(lab, "up == 0"), *query(lab, "probe_success == 0")]
    return sorted(f"{it['metric']['job']} {it['metric']['instance']}" for it in series)


def messages(lab: Lab, path: str, alert: str) -> list[float]:
    """When messages about an alert came."""
    lines = [json.loads(line) for line in lab.operator.run(f"cat {MESSAGES}").stdout.splitlines()]
    return [
        moment
        for moment, to, body in lines
        if to == path and any(it["labels"]["alertname"] == alert and it["status"] == "firing" for it in body["alerts"])
    ]


@pytest.fixture(scope="module")
def webhook(lab: Lab) -> Iterator[None]:
    """Somebody who is told."""
    lab.run(OPERATOR, "systemd-run --quiet --unit=webhook /usr/bin/python3 -c %s", PROGRAM)
    yield
    lab.run(OPERATOR, f"systemctl stop webhook; rm -f {MESSAGES}")


@pytest.fixture
def no_masters(lab: Lab, webhook: None) -> Iterator[float]:
    """All of them are shut down, since this moment, and back afterwards."""
    assert webhook is None
    wait_until(lambda: down(lab) == [], TARGETS_SECONDS, "all targets are up")
    # Another test's outage is over, for Alertmanager too: a group lives for group_interval and 30 s after its last alert.
    earlier = 'last_over_time(ALERTS{alertname="KubeAPIDown"}[1m])'
    wait_until(lambda: query(lab, earlier) == [], TARGETS_SECONDS, "KubeAPIDown is a minute ago")
    began = float(lab.run(OPERATOR, "date +%s.%N"))
    for master in MASTERS:
        docker("stop", "--time=1", master)
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
    time.sleep(30)
    alive = {it["metric"]["instance"] for it in query(lab, 'up{job="containerd"} == 1')}
    assert alive == set(NODES) - set(MASTERS)


def test_the_outside_host_is_small(lab: Lab) -> None:
    """With everything on it idles under 1.5 GiB."""
    for name in OUTSIDE:
        # Of its services, page cache apart.
        sizes = lab.run(name, "ps -e -o rss= | awk '{sum += $1} END {print sum}'")
        print(f"\n{name}: {int(sizes) / 1024:.0f} MiB")  # noqa: T201
        assert int(sizes) < 1.5 * 2**20
