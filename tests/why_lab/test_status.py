# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole cluster, with all faults in it and more than 200 pods: by what is to blame, in 5 s."""

from __future__ import annotations

import time
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.tests.lab.support import WORKERS, Lab, playbook, wait_until
from ansible_collections.selfhosted.kubernetes.tests.why_lab.conftest import Asker, injected
from ansible_collections.selfhosted.kubernetes.tests.why_lab.workloads import (
    CASES,
    WELL,
    Case,
    container,
    deployment,
    owner,
)

NODE = WORKERS[-1]
PODS, SECONDS = 200, 5.0
ON_NODE = 20
THERE = {"nodeSelector": {"kubernetes.io/hostname": NODE}}
PAUSE = container(args=["pause"], ports=[])
PARALLEL = {"podManagementPolicy": "Parallel"}
CROWD = [
    Case("crowd", [deployment(PAUSE, replicas=150, nodeSelector={"disk": "none"})]),
    Case("crowd-node", [deployment(PAUSE, replicas=ON_NODE - 5, **THERE)]),
    Case("crowd-set", [owner("StatefulSet", PAUSE, replicas=5, spec=PARALLEL, **THERE)], "statefulset/web"),
]  # fmt: skip
# Their fault is in the program's last lines, which are not read for all pods; and no port is tried.
LINES = {"ReadOnlyFileSystem", "NameUnknown", "DependencyDown", "NoPermission", "PortTaken", "WrongPlatform"}


def wanted(case: Case) -> str:
    """Its code where logs are not read."""
    return "ExitCode" if case.code in LINES else case.code


def space_of(name: str) -> str:
    """The namespace of what suffers."""
    return name.partition("/")[0]


@pytest.mark.usefixtures("world")
def test_each_fault_is_in_its_group(asker: Asker) -> None:
    """And nothing is said of what is well."""

    def groups() -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for cause in asker.everything()["causes"]:
            for name in cause["affected"]:
                found.setdefault(space_of(name), set()).add(cause["code"])
        return found

    def missing() -> dict[str, str]:
        found = groups()
        asked = [case for case in CASES if case.code and case.name != "service-port"]
        return {case.name: wanted(case) for case in asked if wanted(case) not in found.get(case.namespace, set())}

    deadline = time.monotonic() + 60
    while (left := missing()) and time.monotonic() < deadline:
        time.sleep(2)
    assert left == {}
    assert {case.name for case in WELL if case.objects and case.namespace in groups()} == set()


@pytest.mark.usefixtures("world")
def test_a_node_that_is_down_is_one_line(lab: Lab, asker: Asker) -> None:
    """With all pods of two owners; 150 pods of another fault are one line, too. 200 pods take 5 s at most."""
    with injected(lab, CROWD):
        for case in CROWD[1:]:
            asker.until(case, 180)
        lab.run(NODE, "systemctl stop kubelet")
        try:
            # First its lease is late, and pods without an owner suffer; then the node is not ready.
            wait_until(lambda: _crowd(asker) == ON_NODE, 120, f"all pods of {NODE} are in its line")
            began = time.monotonic()
            said = asker.everything()
            engine = time.monotonic() - began
            (group,) = [it for it in said["causes"] for name in it["affected"] if space_of(name) == "why-crowd"]
            assert (group["code"], group["affected"].count("why-crowd/deployment/web")) == (
                "NodeSelectorMatchesNothing",
                1,
            )
            pods = len(lab.kubectl("get pods --all-namespaces --no-headers").splitlines())
            assert pods >= PODS
            began = time.monotonic()
            code, output, _errors = asker.program()
            program = time.monotonic() - began
            assert (code, f"node {NODE} is down or cut off" in output) == (1, True)
            began = time.monotonic()
            code, output = playbook("status")
            run = time.monotonic() - began
            assert (code, f"node {NODE} is down or cut off" in output) == (2, True)
        finally:
            lab.run(NODE, "systemctl start kubelet")
    figures = {"status_pods": pods, "status_seconds": round(engine, 2)}
    figures |= {"status_kubectl_seconds": round(program, 2), "status_playbook_seconds": round(run, 2)}
    asker.figures |= figures
    print(f"\n{figures}")  # noqa: T201
    lab.kubectl(f"wait --for=condition=Ready --timeout=90s node {NODE}")
    assert max(engine, program, run) <= SECONDS


def _crowd(asker: Asker) -> int:
    """How many of the two owners' pods are in the node's line."""
    return sum(1 for name in _node(asker)["affected"] if space_of(name).startswith("why-crowd-"))


def _node(asker: Asker) -> dict[str, Any]:
    """The line of the node."""
    found = [it for it in asker.everything()["causes"] if it["object"] == f"node/{NODE}" and it["code"] == "NodeSilent"]
    return found[0] if found else {"count": 0, "affected": []}
