# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One master goes away and comes back: users notice little, and nobody has to do anything."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.tests.lab.support import (
    MACHINES,
    MASTERS,
    Lab,
    address,
    agnhost,
    check,
    docker,
    leader,
    wait_until,
    watch,
)

pytestmark = pytest.mark.skipif(len(MASTERS) < 3, reason="one master cannot go away without the API")

GAP_SECONDS = 10
POD_SECONDS = 60
REJOIN_SECONDS = 90
WATCH_SECONDS = 25
# Ten, as with all hosts there (test_check), and the five that a host which does not answer costs.
CHECK_SECONDS = 15


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_master_goes_away_and_comes_back(lab: Lab, namespace: str, tmp_path: Path, how: str) -> None:
    """Shut down, or without power."""
    victim = leader(lab)
    others = [master for master in MASTERS if master != victim]
    asking = [machine for machine in MACHINES if machine != victim]
    print(f"\ndocker {how} {victim} (etcd's leader)")  # noqa: T201
    with ThreadPoolExecutor(len(asking)) as pool:
        watches: dict[str, Future[float]] = {name: pool.submit(watch, lab, name, WATCH_SECONDS) for name in asking}
        time.sleep(1)
        began = time.monotonic()
        docker(how, victim)
        try:
            print(f"  gone after {time.monotonic() - began:.1f} s")  # noqa: T201
            pod_created(lab, namespace, how)
            reported(lab, tmp_path, victim)
            for name, watched in watches.items():
                gap = watched.result()
                print(f"  {name}: longest time without an answer of the API {gap:.1f} s")  # noqa: T201
                assert gap <= GAP_SECONDS, name
        finally:
            docker("start", victim)
    rejoins(lab, victim, others)


def pod_created(lab: Lab, namespace: str, how: str) -> None:
    """A pod that any node may get runs, though a master is missing."""
    began = time.monotonic()
    pod = agnhost(f"after-{how}", namespace, None)
    wait_until(lambda: lab.try_apply(pod), GAP_SECONDS, "the API takes a pod")
    print(f"  the API took a pod after {time.monotonic() - began:.1f} s")  # noqa: T201
    lab.kubectl(f"wait --namespace={namespace} --for=condition=Ready --timeout={POD_SECONDS}s pod/after-{how}")
    print(f"  the pod was ready after {time.monotonic() - began:.1f} s")  # noqa: T201


def reported(lab: Lab, work: Path, victim: str) -> None:
    """By check.yml, which finds nothing wrong with all the rest, and does not wait for what will not come."""
    there = system_pods(lab, victim)
    began = time.monotonic()
    run = check(work)
    seconds = time.monotonic() - began
    print(f"  check.yml took {seconds:.1f} s")  # noqa: T201
    assert seconds <= CHECK_SECONDS
    assert run.code == 2
    found = {(area, hosts) for _level, area, hosts, _text in run.findings}
    others = tuple(machine for machine in MACHINES if machine != victim)
    expected = {("hosts", (victim,)), ("etcd", (victim,)), ("load balancers", others)}
    # The node is Ready until its heartbeat has been missing for long enough; metrics-server may run there.
    later = {("nodes", (victim,))} | ({("system pods", ("cluster",))} if there else set())
    assert found - later == expected, run.output
    assert run.areas["etcd"]["figures"]["answering"] == len(MASTERS) - 1
    assert run.areas["components"]["level"] == "ok"


def system_pods(lab: Lab, node: str) -> list[dict[str, Any]]:
    """Those of kube-system on a node."""
    pods: list[dict[str, Any]] = lab.get(f"pods --namespace=kube-system --field-selector=spec.nodeName={node}")["items"]
    return pods


def rejoins(lab: Lab, victim: str, others: list[str]) -> None:
    """By itself: etcd's member, the API server, the node."""
    started, began = datetime.now(UTC), time.monotonic()

    def member() -> bool:
        status = lab[others[0]].run("etcdctl endpoint health")
        return f"{status.stdout}{status.stderr}".count(" is healthy") == len(MASTERS)

    def api() -> bool:
        answer = lab.try_kubectl(f"--server=https://{address(victim)}:6443 get --raw /readyz")
        return str(answer.stdout) == "ok"

    def node() -> bool:
        """Ready by a heartbeat of its own, not by an old one."""
        lease = "--namespace=kube-node-lease --output=jsonpath={.spec.renewTime}"
        renewed = str(lab.try_kubectl(f"get lease {victim} {lease}").stdout)
        ready = """--output=jsonpath='{.status.conditions[?(@.type=="Ready")].status}'"""
        if str(lab.try_kubectl(f"get node {victim} {ready}").stdout) != "True":
            return False
        return bool(renewed) and datetime.fromisoformat(renewed) > started

    def pods() -> bool:
        """Ready, each in a container of after the start; metrics-server is ready once it has figures."""
        containers = [it for pod in system_pods(lab, victim) for it in pod["status"].get("containerStatuses", [])]
        since = [it["state"].get("running", {}).get("startedAt") for it in containers if it["ready"]]
        return len(since) == len(containers) and all(
            moment and datetime.fromisoformat(moment) > started for moment in since
        )

    steps = {
        "etcd's member is healthy": member,
        "its API server is ready": api,
        "the node is ready": node,
        "its pods are ready": pods,
    }
    for what, works in steps.items():
        wait_until(works, REJOIN_SECONDS - (time.monotonic() - began), what)
        print(f"  started again: {what} after {time.monotonic() - began:.1f} s")  # noqa: T201
    wait_until(lambda: lab[victim].run("systemctl is-system-running").stdout.strip() == "running", 30, "all units run")
    lab.kubectl("wait --for=condition=Available --timeout=60s apiservice/v1beta1.metrics.k8s.io")
    units = " ".join(lab.components(victim).values())
    assert set(lab.run(victim, f"systemctl is-active {units}").split()) == {"active"}
