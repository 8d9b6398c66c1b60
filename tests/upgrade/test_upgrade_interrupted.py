# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An upgrade that stops half-way, for a reason or by force, leaves a cluster that serves, and is simply run again."""

from __future__ import annotations

import json
import random
from pathlib import Path

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
from ansible_collections.selfhosted.kubernetes.tests.upgrade.old import OLD, versions

TIMES_KILLED = 5


def install_old(lab: Lab, work: Path) -> None:
    """The old version from nothing, on the same machines."""
    code, output = playbook("reset", f"reset_hosts={','.join(MACHINES)}", "reset_confirm=lab")
    assert code == 0, output
    site(work, "-e", f"cluster_kubernetes_version={OLD}")
    assert versions(lab) == dict.fromkeys(NODES, f"v{OLD}")


def complete(lab: Lab, *variables: str) -> None:
    """The same command again: no node keeps its old version or stays cordoned."""
    code, output = playbook("upgrade", *variables)
    assert code == 0, output[-5000:]
    assert versions(lab) == dict.fromkeys(NODES, VERSION)
    assert [node for node in lab.get("nodes")["items"] if node["spec"].get("unschedulable")] == []


def running(lab: Lab, master: str, program: str) -> str:
    """The version that runs there; empty when none does."""
    return str(lab[master].run(f"/proc/$(pidof {program})/exe --version").stdout.strip())


def test_killed_anywhere(lab: Lab, tmp_path: Path) -> None:
    """SIGKILL of the whole run, some times; the cluster serves after each, and no client of the API is too new."""
    install_old(lab, tmp_path)
    for number in range(TIMES_KILLED):
        seconds = random.uniform(5, 60)
        print(f"\nrun {number}: {killed('upgrade', seconds)}")  # noqa: T201
        wait_until(lambda: lab.try_kubectl("get --raw=/readyz").rc == 0, 30, "the API answers")
        for master in MASTERS:
            clients = [running(lab, master, program) for program in ("kube-controller-manager", "kube-scheduler")]
            if running(lab, master, "kube-apiserver") == f"Kubernetes v{OLD}":
                assert f"Kubernetes {VERSION}" not in clients, master
    complete(lab)


def test_a_budget_stops_it(lab: Lab, tmp_path: Path) -> None:
    """A pod that may not leave: it is named, the node takes pods again, all serve."""
    install_old(lab, tmp_path)
    namespace = "lab-test-held"
    lab.kubectl(f"create namespace {namespace}")
    lab.kubectl(f"create deployment held --namespace={namespace} --image=registry.k8s.io/pause:3.10.2")
    lab.kubectl(f"create poddisruptionbudget held --namespace={namespace} --selector=app=held --min-available=1")
    lab.kubectl(f"rollout status deployment/held --namespace={namespace} --timeout=60s")
    pod = lab.get(f"pods --namespace={namespace} --selector=app=held")["items"][0]
    place, name = pod["spec"]["nodeName"], pod["metadata"]["name"]
    code, output = playbook("upgrade", "upgrade_drain_seconds=20")
    assert code == 2, output[-5000:]
    assert f"{place} cannot be drained, and takes pods again as before: pod {namespace}/{name}" in output, output[
        -5000:
    ]
    assert not lab.get(f"node {place}")["spec"].get("unschedulable")
    assert versions(lab)[place] == f"v{OLD}"
    assert {versions(lab)[master] for master in MASTERS} == {VERSION}
    lab.kubectl(f"delete namespace {namespace}")


def test_a_worker_that_does_not_get_healthy_is_put_back(lab: Lab) -> None:
    """Its kubelet refuses its new configuration: the run ends, the worker is as before and takes pods."""
    victim = WORKERS[-1]
    own = inventory()["_meta"]["hostvars"][victim]["kubelet_config"]
    wrong = own | {"maxPods": f"{{{{ -1 if inventory_hostname == '{victim}' else 110 }}}}"}
    code, output = playbook("upgrade", json.dumps({"kubelet_config": wrong}))
    assert code == 2, output[-5000:]
    assert f"[{victim}]: FAILED!" in output, output[-5000:]
    assert "must not be a negative number" in output
    assert "rolled back to what ran before and is healthy again" in output
    assert versions(lab) == {node: f"v{OLD}" if node == victim else VERSION for node in NODES}
    assert lab.get(f"node {victim}")["spec"].get("unschedulable") is None
    lab.kubectl(f"wait --for=condition=Ready --timeout=30s node {victim}")
    complete(lab, "upgrade_workers_at_once=2")
