# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each case's answer, from a real API server with real events of scheduler and controllers."""

from __future__ import annotations

import time

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._why import answer, client, status
from ansible_collections.selfhosted.kubernetes.tests.why import record
from ansible_collections.selfhosted.kubernetes.tests.why.cases import CASES, CROWD, HEALTHY, LOGS, Case
from ansible_collections.selfhosted.kubernetes.tests.why.cluster import Cluster
from ansible_collections.selfhosted.kubernetes.tests.why.plane import binary

# Within this a case's fault has to show; some need a controller's patience.
SECONDS = 90
# For everything in a cluster of 200 pods.
STATUS_SECONDS = 5


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_verdict(cluster: Cluster, case: Case) -> None:
    """The right cause and object, in at most 15 questions; healthy workloads have no cause."""
    config = client.kubeconfig(str(cluster.plane.kubeconfig), kubectl=str(binary("kubectl", cluster.plane.folder)))
    deadline = time.monotonic() + SECONDS
    while True:
        with record.Recorder(config) as asking:
            said = answer.why(asking, case.wanted)
        # Neither is a word about what is: it may still come.
        if said["state"] not in ("starting", "unclear") or time.monotonic() > deadline:
            break
        time.sleep(1)
    case.check(said)
    assert said["requests"] <= 15
    # 200 pods are many bytes and say no more than one.
    if case is not CROWD:
        record.keep(case.name, asking)


def test_whole_cluster(cluster: Cluster) -> None:
    """Each fault is in its cause's group, nothing is said of what is well, 200 pods of one fault are one line."""
    config = client.kubeconfig(str(cluster.plane.kubeconfig), kubectl=str(binary("kubectl", cluster.plane.folder)))
    began = time.monotonic()
    with client.Client(config) as asking:
        said = status.status(asking)
    seconds = time.monotonic() - began
    pods = len(cluster.plane.call("GET", "/api/v1/pods")["items"])
    print(f"\n{pods} pods, {said['counts']['seen']} things: {seconds:.2f} s")  # noqa: T201
    found: dict[str, set[str]] = {}
    for cause in said["causes"]:
        for name in cause["affected"]:
            space = name.partition("/")[0] if name.count("/") == 2 else name
            found.setdefault(space, set()).add(cause["code"])
    # Logs are not read for it, and no port is tried.
    wanted = {
        case.name: "ExitCode" if case.name in LOGS else case.code for case in CASES if case.name != "service-port"
    }
    named = {case.name: case.target if case.target.startswith("node/") else case.name for case in CASES}
    assert {name: code for name, code in wanted.items() if code and code not in found.get(named[name], set())} == {}
    assert {case.name for case in HEALTHY if named[case.name] in found} == set()
    crowd = [name for it in said["causes"] for name in it["affected"] if name.startswith("crowd/")]
    assert crowd == ["crowd/deployment/web"]
    assert said["requests"] <= 15
    assert pods >= 200
    assert seconds <= STATUS_SECONDS
