# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An upgrade that stops half-way, for a reason or by force, leaves a cluster that serves, and is simply run again."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from ansible_collections.selfhosted.kubernetes.tests.lab.support import (
    MACHINES,
    MASTERS,
    NODES,
    VERSION,
    Lab,
    killed,
    playbook,
    site,
    wait_until,
)
from ansible_collections.selfhosted.kubernetes.tests.upgrade.old import OLD, versions

TIMES_KILLED = 3


def test_an_old_cluster_again(lab: Lab, tmp_path: Path) -> None:
    """On the same machines."""
    code, output = playbook("reset", f"reset_hosts={','.join(MACHINES)}", "reset_confirm=lab")
    assert code == 0, output
    site(tmp_path, "-e", f"cluster_kubernetes_version={OLD}")
    assert versions(lab) == dict.fromkeys(NODES, f"v{OLD}")


def test_a_budget_stops_it_and_the_rest_goes_on(lab: Lab, namespace: str) -> None:
    """A pod that may not leave: it is named, the node takes pods again, all serve; then the upgrade is run again."""
    lab.kubectl(f"create deployment held --namespace={namespace} --image=registry.k8s.io/pause:3.10.2")
    lab.kubectl(f"create poddisruptionbudget held --namespace={namespace} --selector=app=held --min-available=1")
    lab.kubectl(f"rollout status deployment/held --namespace={namespace} --timeout=60s")
    pod = lab.get(f"pods --namespace={namespace} --selector=app=held")["items"][0]
    place, name = pod["spec"]["nodeName"], pod["metadata"]["name"]
    code, output = playbook("upgrade", "upgrade_drain_seconds=5")
    assert code == 2
    assert f"{place} cannot be drained, and takes pods again as before: pod {namespace}/{name}" in output
    assert not lab.get(f"node {place}")["spec"].get("unschedulable")
    assert versions(lab)[place] == f"v{OLD}"
    assert {versions(lab)[master] for master in MASTERS} == {VERSION}
    lab.kubectl(f"delete deployment,poddisruptionbudget held --namespace={namespace}")


@pytest.mark.parametrize("time_of_death", range(TIMES_KILLED))
def test_killed_somewhere(lab: Lab, time_of_death: int) -> None:
    """SIGKILL of the whole run; the cluster serves, and the next test's upgrade completes it."""
    seconds = random.uniform(5, 40)
    print(f"\nrun {time_of_death}: {killed('upgrade', seconds)}")  # noqa: T201
    wait_until(lambda: lab.try_kubectl("get --raw=/readyz").rc == 0, 30, "the API answers")


def test_run_again(lab: Lab) -> None:
    """It completes, and no node stays cordoned."""
    code, output = playbook("upgrade")
    assert code == 0, output[-5000:]
    assert versions(lab) == dict.fromkeys(NODES, VERSION)
    assert [node for node in lab.get("nodes")["items"] if node["spec"].get("unschedulable")] == []
