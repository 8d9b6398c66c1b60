# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An upgrade that stops half-way, for a reason or by force, leaves a cluster that serves, and is simply run again."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from ansible_collections.selfhosted.kubernetes.tests.lab.support import (
    MACHINES,
    MASTERS,
    NODES,
    VERSION,
    WORKERS,
    Lab,
    inventory,
    killed,
    playbook,
    site,
    wait_until,
)
from ansible_collections.selfhosted.kubernetes.tests.upgrade.old import OLD, said, versions

# Five times in all: while masters are upgraded, and while workers are.
MASTERS_KILLED, WORKERS_KILLED = 3, 2
# Of some 100 s, and of some 40 s with the site run in the end.
MASTERS_SECONDS, WORKERS_SECONDS = 60, 25
NAMESPACE, FIRST = "lab-test-held", WORKERS[0]
HELD = {"app": "held"}
# A pod of the worker that is upgraded first may not leave.
BUDGET: list[dict[str, Any]] = [
    {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "held", "namespace": NAMESPACE},
        "spec": {
            "selector": {"matchLabels": HELD},
            "template": {
                "metadata": {"labels": HELD},
                "spec": {
                    "nodeSelector": {"kubernetes.io/hostname": FIRST},
                    "containers": [{"name": "pause", "image": "registry.k8s.io/pause:3.10.2"}],
                },
            },
        },
    },
    {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "held", "namespace": NAMESPACE},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": HELD}},
    },
]


def install_old(lab: Lab, work: Path) -> None:
    """The old version from nothing, on the same machines."""
    code, output = playbook("reset", f"reset_hosts={','.join(MACHINES)}", "reset_confirm=lab")
    assert code == 0, output
    site(work, "-e", f"cluster_kubernetes_version={OLD}")
    assert versions(lab) == dict.fromkeys(NODES, f"v{OLD}")


def half() -> dict[str, str]:
    """Kubelet's versions when all masters are done and no worker is."""
    return {node: VERSION if node in MASTERS else f"v{OLD}" for node in NODES}


def complete(lab: Lab, *variables: str) -> None:
    """The same command again: no node keeps its old version or stays cordoned."""
    code, output = playbook("upgrade", *variables)
    assert code == 0, output[-5000:]
    assert versions(lab) == dict.fromkeys(NODES, VERSION)
    assert [node for node in lab.get("nodes")["items"] if node["spec"].get("unschedulable")] == []


def kill_upgrades(lab: Lab, times: int, latest: float, variable: str) -> None:
    """SIGKILL of the whole run, some times; the cluster serves after each, and no client of the API is too new."""
    ask = "get --raw=/readyz --request-timeout=2s"
    for number in range(times):
        seconds = random.uniform(5, latest)
        print(f"\nrun {number}: {killed('upgrade', seconds, variable)}")  # noqa: T201
        wait_until(lambda: lab.try_kubectl(ask).rc == 0, 30, "the API answers")
        for master in MASTERS:
            clients = [said(lab, master, program) for program in ("kube-controller-manager", "kube-scheduler")]
            if said(lab, master, "kube-apiserver") == f"Kubernetes v{OLD}":
                assert f"Kubernetes {VERSION}" not in clients, master


def test_killed_while_masters_are_upgraded(lab: Lab, tmp_path: Path) -> None:
    """Anywhere; no worker is upgraded, for the first one's pod may not leave."""
    install_old(lab, tmp_path)
    lab.kubectl(f"create namespace {NAMESPACE}")
    lab.apply(*BUDGET)
    lab.kubectl(f"rollout status deployment/held --namespace={NAMESPACE} --timeout=60s")
    # A drain outlives its run, until its time is over or the pod is gone. No run here lives as long.
    kill_upgrades(lab, MASTERS_KILLED, MASTERS_SECONDS, "upgrade_drain_seconds=60")


def test_a_budget_stops_it(lab: Lab) -> None:
    """It is named, the node takes pods again, all serve."""
    name = lab.get(f"pods --namespace={NAMESPACE} --selector=app=held")["items"][0]["metadata"]["name"]
    # Elsewhere CoreDNS, which has a budget too, gets the time that it needs.
    seconds = f"{{{{ 20 if inventory_hostname == '{FIRST}' else 300 }}}}"
    code, output = playbook("upgrade", json.dumps({"upgrade_drain_seconds": seconds}))
    assert code == 2, output[-5000:]
    assert f"{FIRST} cannot be drained, and takes pods again as before: pod " in output, output[-5000:]
    assert f"pod {NAMESPACE}/{name}: " in output, output[-5000:]
    assert not lab.get(f"node {FIRST}")["spec"].get("unschedulable")
    assert versions(lab) == half()
    lab.kubectl(f"delete namespace {NAMESPACE}")


def test_a_worker_that_does_not_get_healthy_is_put_back(lab: Lab) -> None:
    """Its kubelet refuses its new configuration: the run ends, the worker is as before and takes pods."""
    own = inventory()["_meta"]["hostvars"][FIRST]["kubelet_config"]
    wrong = own | {"maxPods": f"{{{{ -1 if inventory_hostname == '{FIRST}' else 110 }}}}"}
    code, output = playbook("upgrade", json.dumps({"kubelet_config": wrong}))
    assert code == 2, output[-5000:]
    assert f"[{FIRST}]: FAILED!" in output, output[-5000:]
    assert "must not be a negative number" in output
    assert "rolled back to what ran before and is healthy again" in output
    assert versions(lab) == half()
    assert lab.get(f"node {FIRST}")["spec"].get("unschedulable") is None
    lab.kubectl(f"wait --for=condition=Ready --timeout=30s node {FIRST}")


def test_killed_while_workers_are_upgraded(lab: Lab) -> None:
    """Both at once."""
    both = "upgrade_workers_at_once=2"
    kill_upgrades(lab, WORKERS_KILLED, WORKERS_SECONDS, both)
    complete(lab, both)
