# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster is removed from all its nodes and made anew: what pods wrote is still there, and claims find it again."""

from __future__ import annotations

from ansible_collections.selfhosted.kubernetes.tests.lab.support import NODES, WORKERS, Lab, playbook, wait_until
from ansible_collections.selfhosted.kubernetes.tests.storage.support import claim, healthy, start, volume_tester

NAMESPACE = "outlives"


def test_volumes_outlive_the_cluster(lab: Lab) -> None:
    """By storage_adopt.yml, from what stands beside them on the storage."""
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    lab.apply(space, claim("keeps", NAMESPACE, "shared", "64Mi"))
    start(lab, "before", NAMESPACE, WORKERS[0], "keeps")
    wrote = volume_tester(lab, "before", NAMESPACE, "write /volume/data 16")["sha256"]
    for name, variables in (("reset", (f"reset_hosts={','.join(NODES)}", "reset_confirm=lab")), ("site", ())):
        code, output = playbook(name, *variables)
        assert code == 0, output[-6000:]
    wait_until(lambda: healthy(lab), 120, "storage noticed nothing")
    code, output = playbook("storage_adopt")
    assert code == 0, output[-6000:]
    lab.apply(space, claim("keeps", NAMESPACE, "shared", "64Mi"))
    start(lab, "after", NAMESPACE, WORKERS[1], "keeps")
    assert volume_tester(lab, "after", NAMESPACE, "read /volume/data")["sha256"] == wrote
    code, output = playbook("storage_adopt")
    assert code == 0, output[-6000:]
    assert "changed=0" in output
    lab.kubectl(f"delete namespace {NAMESPACE}")
