# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs outside: all arrive, are found by the same words, also while the API is down, and none is lost."""

from __future__ import annotations

import json
import secrets
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.tests.lab.support import (
    AGNHOST,
    MACHINES,
    MASTERS,
    OPERATOR,
    OUTSIDE,
    WORKERS,
    Lab,
    address,
    inventory,
    wait_until,
)

SERVICES = inventory()["_meta"]["hostvars"][OPERATOR].get("cluster_outside_services", [])
pytestmark = pytest.mark.skipif("logging" not in SERVICES, reason="this lab keeps no logs")

MARK = f"lab-{secrets.token_hex(6)}"
PORT = 9428
# Senders look for what is new each second or so, and VictoriaLogs shows what it got within another.
ARRIVES_SECONDS = 20
LINES, LINES_SECONDS, DOWN_SECONDS = 3000, 30, 8
BUDGET_MIB = 1536
USERS = ("victoria-logs", "kubernetes-events", "systemd-journal-upload", "vlagent")


def asked(lab: Lab, query: str, count: int = 1000) -> list[dict[str, str]]:
    """Lines with all their fields."""
    return [json.loads(text) for text in lab.run(OPERATOR, f"logs -j -n {count} %s", query).splitlines()]


def arrives(lab: Lab, query: str) -> dict[str, str]:
    """The newest line, once there is one."""
    seconds = wait_until(lambda: bool(asked(lab, query, 1)), ARRIVES_SECONDS, query)
    print(f"\n{seconds:.1f} s: {query}")  # noqa: T201
    return asked(lab, query, 1)[-1]


def pod(name: str, namespace: str, *arguments: str, restart: str = "Never") -> dict[str, Any]:
    """A pod that says something and ends."""
    container = {"name": "app", "image": AGNHOST, "args": list(arguments)}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"nodeName": WORKERS[0], "restartPolicy": restart, "containers": [container]},
    }


def talker(name: str, namespace: str) -> dict[str, Any]:
    """A pod that counts its lines."""
    duration = f"--run-duration={LINES_SECONDS}s"
    return pod(name, namespace, "logs-generator", f"--log-lines-total={LINES}", duration)


def test_a_pods_lines_are_found_by_the_words_of_metrics(lab: Lab, namespace: str) -> None:
    """Namespace, pod, container and node, as Prometheus has them."""
    lab.apply(pod("says", namespace, "logs-generator", "--log-lines-total=3", "--run-duration=1s"))
    line = arrives(lab, f"log:=pod namespace:={namespace} pod:=says container:=app")
    assert (line["node"], line["stream"], line["restart"]) == (WORKERS[0], "stderr", "0")
    (item,) = (it for it in lab.get(f"pods --namespace={namespace}")["items"] if it["metadata"]["name"] == "says")
    assert line["uid"] == item["metadata"]["uid"]


def test_the_journal_of_each_host_arrives(lab: Lab, machine: str) -> None:
    """In the name of the host that sent it."""
    text = f"{MARK}-{machine}"
    lab.run(machine, "systemd-run --quiet --wait --unit=says /bin/echo %s", text)
    line = arrives(lab, f'log:=journal _SYSTEMD_UNIT:=says.service "{text}"')
    assert (line["node"], line["_msg"]) == (machine, text)


def test_who_changed_what_arrives(lab: Lab, namespace: str) -> None:
    """The audit log, by its own words, from the master whose API server was asked."""
    name = f"{MARK}-audit"
    lab.kubectl(f"create configmap --namespace={namespace} {name} --from-literal=a=b")
    line = arrives(lab, f"log:=audit verb:=create objectRef.namespace:={namespace} objectRef.name:={name}")
    assert line["node"] in MASTERS
    assert line["user.username"] == "kubernetes-admin"
    assert line["_msg"].startswith(f"/api/v1/namespaces/{namespace}/configmaps")


def test_events_arrive(lab: Lab, namespace: str) -> None:
    """About a pod that cannot start, with the reason."""
    item = pod("no-image", namespace)
    item["spec"]["containers"][0]["image"] = "registry.k8s.io/nobody/has-this:1"
    lab.apply(item)
    line = arrives(lab, f"log:=event namespace:={namespace} pod:=no-image type:=Warning reason:=Failed")
    assert (line["container"], line["node"], line["kind"]) == ("app", WORKERS[0], "Pod")


@pytest.fixture
def no_api(lab: Lab, namespace: str) -> Iterator[float]:
    """A pod crashed, and then all API servers were stopped, at this moment; they are back afterwards."""
    lab.apply(pod("crashes", namespace, "no-such-command", restart="Always"))
    arrives(lab, f"log:=pod namespace:={namespace} pod:=crashes restart:=1")
    for master in MASTERS:
        lab.run(master, "systemctl stop kube-apiserver")
    yield float(lab.run(OPERATOR, "date +%s.%N"))
    for master in MASTERS:
        lab.run(master, "systemctl start kube-apiserver")
    wait_until(lambda: bool(lab.try_kubectl("get --raw=/readyz --request-timeout=2s").rc == 0), 60, "the API answers")


def test_while_the_api_is_down(lab: Lab, namespace: str, no_api: float) -> None:
    """One command finds what a crashed pod said last, and what the API server did, before and since."""
    assert lab.try_kubectl("get --raw=/readyz --request-timeout=2s").rc != 0
    said = lab.run(OPERATOR, f"logs 'namespace:={namespace} pod:=crashes log:=pod'")
    assert f"{WORKERS[0]} {namespace}/crashes/app" in said
    assert "no-such-command" in said
    (master,) = MASTERS[:1]
    last = "node:=%s _SYSTEMD_UNIT:=kube-apiserver.service"
    wait_until(
        lambda: "Stopped" in lab.run(OPERATOR, "logs -n 20 %s", f"node:={master} kube-apiserver"),
        ARRIVES_SECONDS,
        "its end",
    )
    assert len(lab.run(OPERATOR, "logs -n 5 %s", last % master).splitlines()) == 5
    # The kubelet starts it again without an API, and what it then says arrives, too.
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(no_api))
    query = f"log:=pod namespace:={namespace} pod:=crashes _time:>{since}"
    seconds = wait_until(lambda: bool(asked(lab, query)), 90, "a restart without an API arrives")
    print(f"\n{seconds:.1f} s after the end of the API a restarted container's line was there")  # noqa: T201


def test_no_line_is_lost_while_the_store_is_down(lab: Lab, namespace: str) -> None:
    """A pod and a host's journal go on talking; each line is there afterwards."""
    lab.apply(talker("talks", namespace))
    script = f"for i in $(seq {LINES}); do echo {MARK}-count $i; sleep 0.008; done"
    lab.run(WORKERS[0], "systemd-run --quiet --unit=talks /bin/sh -c %s", script)
    time.sleep(8)
    lab.run(OPERATOR, "systemctl stop victoria-logs")
    time.sleep(DOWN_SECONDS)
    lab.run(OPERATOR, "systemctl start victoria-logs")
    wait_until(lambda: lab.get(f"pod --namespace={namespace} talks")["status"]["phase"] == "Succeeded", 90, "it ends")
    wait_until(lambda: lab[WORKERS[0]].run("systemctl is-active talks").stdout.strip() != "active", 90, "it ends")
    of_pod = f"log:=pod namespace:={namespace} pod:=talks"
    of_journal = f'log:=journal node:={WORKERS[0]} _SYSTEMD_UNIT:=talks.service "{MARK}-count"'

    def numbers(query: str, word: int) -> Counter[int]:
        return Counter(int(line["_msg"].split()[word]) for line in asked(lab, query, 5 * LINES))

    # I1126 14:00:00.000000       1 logs_generator.go:76] 17 GET /api/...
    wanted = {of_pod: (4, set(range(LINES))), of_journal: (1, set(range(1, LINES + 1)))}
    for query, (word, all_of_them) in wanted.items():
        wait_until(lambda q=query, w=word: len(numbers(q, w)) == LINES, 60, query)  # type: ignore[misc]
        found = numbers(query, word)
        assert set(found) == all_of_them
        again = sum(found.values()) - LINES
        print(f"\n{LINES} of {LINES} lines, {again} of them twice: {query}")  # noqa: T201


@pytest.mark.parametrize(
    ("certificate", "path", "status"),
    [
        ("", "/select/logsql/query?query=*&limit=1", "403"),
        ("", "/metrics", "403"),
        ("", "/insert/native?version=v1", "403"),
        ("", "/health", "200"),
        ("journal-upload", "/select/logsql/query?query=*&limit=1", "403"),
        ("journal-upload", "/insert/jsonline", "404"),
        ("logging", "/select/logsql/query?query=*&limit=1", "200"),
        ("logging", "/insert/journald/upload", "403"),
        ("logging", "/metrics", "403"),
    ],
)
def test_who_may_what(lab: Lab, certificate: str, path: str, status: str) -> None:
    """Hosts send, who is called logging reads, Prometheus has metrics; nobody else gets in."""
    pair = f"--cert /etc/{certificate}/client.crt --key /etc/{certificate}/client.key" if certificate else ""
    curl = "curl --silent --output /dev/null --write-out '%%{http_code}' --cacert /etc/kubernetes/pki/outside-ca.crt"
    assert lab.run(OPERATOR, f"{curl} {pair} %s", f"https://127.0.0.1:{PORT}{path}") == status


def test_users_of_the_host_do_not_read(lab: Lab) -> None:
    """The store itself asks for a password, and nothing but the loopback leads to it."""
    url = "http://%s:9427/select/logsql/query?query=*"
    curl = "curl --silent --output /dev/null --max-time 5 --write-out '%%{http_code}' %s"
    assert lab.operator.run(curl, url % "127.0.0.1").stdout == "401"
    assert lab.operator.run(curl, url % address(OPERATOR)).stdout == "000"


def test_a_host_sends_in_its_own_name(lab: Lab) -> None:
    """Whatever a sender of a journal says about itself, its certificate counts."""
    entry = f"__REALTIME_TIMESTAMP={time.time_ns() // 1000}\nMESSAGE={MARK}-forged\nnode=nobody\n\n"
    pair = "--cert /etc/journal-upload/client.crt --key /etc/journal-upload/client.key"
    url = f"https://{address(OPERATOR)}:{PORT}/insert/journald/upload?extra_fields=node=nobody"
    header = "--header 'Content-Type: application/vnd.fdo.journal' --header 'VL-Extra-Fields: node=nobody'"
    curl = f"curl --silent --fail --cacert /etc/kubernetes/pki/outside-ca.crt {pair} {header}"
    lab.run(WORKERS[0], f"printf %s | {curl} --data-binary @- %s", entry, url)
    assert arrives(lab, f'"{MARK}-forged"')["node"] == WORKERS[0]


def test_what_it_costs(lab: Lab) -> None:
    """The outside host stays within its budget with all services; what of each host logs are, by user."""
    for name in MACHINES:
        lines = lab.run(name, "ps -e -o user:32=,rss=").splitlines()
        sizes: Counter[str] = Counter()
        for user, size in (line.split() for line in lines):
            sizes[user] += int(size)
        of_logs = {user: f"{sizes[user] / 1024:.0f}" for user in USERS if sizes[user]}
        print(f"\n{name}: {sizes.total() / 1024:.0f} MiB resident, of logs {of_logs}")  # noqa: T201
        assert name not in OUTSIDE or sizes.total() < BUDGET_MIB * 1024
