# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole cluster goes back to a backup, also when that is interrupted; users and controllers go on."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.selfhosted.kubernetes.tests.backup.outside import (
    back_up,
    cluster_id,
    contents,
    restore,
    revision,
)
from ansible_collections.selfhosted.kubernetes.tests.lab.support import (
    FOLDER,
    MASTERS,
    NODES,
    Lab,
    agnhost,
    killed,
    site,
    wait_until,
)
from ansible_collections.selfhosted.kubernetes.tests.scale.machines import Figures, voters

CONFIRM = "restore_confirm=lab"
UID = FOLDER / "state/cluster-uid"
RESTORE_SECONDS = 90


@pytest.fixture(scope="module")
def saved(lab: Lab, filled: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, str]]:
    """The namespace, and what its objects say at the time of the newest backup."""
    # On the control node kubectl why knows the inventories of the run before, which were Molecule's.
    site(tmp_path_factory.mktemp("site"))
    run = back_up(lab)
    assert run["result"] == "success", run["errors"]
    return filled, contents(lab, filled)


@pytest.fixture
def another_uid() -> Iterator[None]:
    """The control node believes that this is another cluster."""
    uid = UID.read_text(encoding="ascii")
    UID.write_text(f"00000000{uid[8:]}", encoding="ascii")
    yield
    UID.write_text(uid, encoding="ascii")


def spoil(lab: Lab, namespace: str) -> None:
    """What a restore has to undo: a thing more, one less, one that is another."""
    lab.kubectl(f"create configmap --namespace={namespace} later")
    lab.kubectl(f"delete configmap --namespace={namespace} thing-1 thing-2")
    lab.kubectl(f'patch configmap --namespace={namespace} thing-3 --patch=\'{{"data": {{"number": "-1"}}}}\'')


def restarts(lab: Lab) -> dict[str, int]:
    """Of all containers in kube-system."""
    pods = lab.get("pods --namespace=kube-system")["items"]
    return {
        it["metadata"]["name"]: sum(one["restartCount"] for one in it["status"]["containerStatuses"]) for it in pods
    }


def test_another_cluster_is_refused(lab: Lab, saved: tuple[str, dict[str, str]], another_uid: None) -> None:
    """And nothing is changed."""
    assert saved
    assert another_uid is None
    identity = cluster_id(lab)
    code, output = restore(CONFIRM)
    assert code == 2
    assert "the snapshot is of another cluster: its uid is" in output
    assert cluster_id(lab) == identity
    for master in MASTERS:
        assert lab.run(master, "ls /var/lib/etcd").split() == ["member"]


def test_the_whole_cluster(lab: Lab, saved: tuple[str, dict[str, str]], figures: Figures) -> None:
    """Nothing of the backup is lost or another; what came later is gone; whoever watches goes on without a restart."""
    namespace, before = saved
    spoil(lab, namespace)
    identity, line, counts = cluster_id(lab), revision(lab), restarts(lab)
    began = time.monotonic()
    code, output = restore(CONFIRM)
    seconds = time.monotonic() - began
    assert code == 0, output[-5000:]
    figures.add("restore", seconds=seconds, objects=len(before))
    assert contents(lab, namespace) == before
    assert cluster_id(lab) != identity
    assert revision(lab) > line + 900_000_000
    assert voters(lab) == set(MASTERS)
    for master in MASTERS:
        assert lab.run(master, "ls /var/lib/etcd").split() == ["member"]
    # The scheduler, controllers, kubelets, kube-proxy and DNS see what is written now.
    lab.apply(agnhost("after", namespace, None))
    lab.kubectl(f"wait --namespace={namespace} --for=condition=Ready --timeout=60s pod/after")
    lab.kubectl(f"expose pod after --namespace={namespace} --port=80 --target-port=8080")
    ask = f"exec --namespace={namespace} after -- /agnhost connect --timeout=3s after.{namespace}.svc.cluster.local:80"
    wait_until(lambda: bool(lab.try_kubectl(ask).rc == 0), 60, "the new service answers by its name")
    assert restarts(lab) == counts
    assert seconds <= RESTORE_SECONDS


@pytest.mark.parametrize("seconds", [4.0, 8.0, 12.0, 18.0, 25.0])
def test_interrupted_it_completes(lab: Lab, saved: tuple[str, dict[str, str]], seconds: float) -> None:
    """Killed with all its processes, and simply run again."""
    namespace, before = saved
    lab.try_kubectl(f"delete configmap --namespace={namespace} thing-4 --request-timeout=5s")
    note = killed("restore", seconds, CONFIRM)
    code, output = restore(CONFIRM)
    assert code == 0, f"{note}: {output[-5000:]}"
    assert contents(lab, namespace) == before, note
    assert voters(lab) == set(MASTERS)


def test_a_site_run_changes_nothing(lab: Lab, saved: tuple[str, dict[str, str]], tmp_path: Path) -> None:
    """A restored cluster is as it was installed."""
    assert saved
    run = site(tmp_path, "--diff")
    assert set(run.changed.values()) == {0}, run.output[-6000:]
    lab.kubectl(f"wait --for=condition=Ready --timeout=60s node {' '.join(NODES)}")
