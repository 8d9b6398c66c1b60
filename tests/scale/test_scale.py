# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts come and go, and members of etcd are replaced, while users write."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.selfhosted.kubernetes.tests.lab.load import Load
from ansible_collections.selfhosted.kubernetes.tests.lab.support import (
    MASTERS,
    NODES,
    OUTSIDE,
    VERSION,
    WORKERS,
    Lab,
    docker,
    killed,
    wait_until,
)
from ansible_collections.selfhosted.kubernetes.tests.scale.machines import (
    WRITE_GAP_SECONDS,
    Figures,
    gap,
    is_ready,
    lab_of,
    lose,
    make_machines,
    play,
    site_run,
    voters,
)
from ansible_collections.selfhosted.kubernetes.tests.upgrade.old import OLD

# Of the issue: a worker is added within.
WORKER_SECONDS = 20.0
VICTIM = MASTERS[1]
TIMES_KILLED = 2


@pytest.fixture(scope="module")
def larger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The lab's inventory with a third worker, whose machine is there."""
    larger = lab_of(tmp_path_factory.mktemp("larger") / "inventory", workers=[*WORKERS, "w3"])
    make_machines(inventory=larger)
    yield larger
    docker("rm", "--force", "--volumes", "w3")


def test_a_new_worker_has_the_version_of_masters(larger: Path) -> None:
    """Which are not asked; nothing is changed."""
    code, output = play("site", f"cluster_kubernetes_version={OLD}", limit="w3", inventory=larger)
    assert code == 2
    assert f"(w3): Kubernetes {VERSION[1:]} runs on the masters, {OLD} is asked for; set it to {VERSION[1:]}" in output


@pytest.mark.parametrize("away", ["", WORKERS[-1], MASTERS[-1]], ids=["all there", "a worker off", "a master off"])
def test_a_worker_comes_and_goes(
    lab: Lab, users: Load, larger: Path, tmp_path: Path, figures: Figures, away: str
) -> None:
    """Quickly, with the same number of task-runs, whoever else is switched off."""
    moment = time.time()
    if away:
        docker("stop", away)
    try:
        began = time.monotonic()
        run = site_run(tmp_path, "--limit", "w3", inventory=larger)
        is_ready(lab, "w3")
        ready = time.monotonic() - began
    finally:
        if away:
            docker("start", away)
    wait_until(lambda: voters(lab) == set(MASTERS), 60, "etcd is whole")
    is_ready(lab, *NODES)  # Pods of w3 go there.
    began = time.monotonic()
    code, output = play("remove_node", "node=w3", inventory=larger)
    seconds = time.monotonic() - began
    assert code == 0, output[-3000:]
    assert "w3" not in lab.kubectl("get nodes --output=name")
    write_gap = gap(users, moment)
    figures.add(
        f"w3 added ({away or 'nothing'} switched off) and removed",
        seconds=run.figures["seconds"],
        seconds_to_ready=ready,
        task_runs=run.figures["runs"],
        seconds_to_remove=seconds,
        write_gap=write_gap,
    )
    first = next(iter(figures.rows[what] for what in figures.rows if what.startswith("w3 added")))
    assert run.figures["runs"] == first["task_runs"]
    assert ready <= WORKER_SECONDS
    assert write_gap <= WRITE_GAP_SECONDS


def test_a_member_that_others_need_is_not_replaced(lab: Lab) -> None:
    """Nothing is changed."""
    lab.run(MASTERS[-1], "systemctl stop etcd")
    try:
        code, output = play("replace_etcd_member", f"node={VICTIM}")
    finally:
        lab.run(MASTERS[-1], "systemctl start etcd")
    assert code == 2
    assert f"without {VICTIM} etcd would have 2 members and needs 2 healthy ones, but {MASTERS[-1]} is not" in output
    wait_until(lambda: voters(lab) == set(MASTERS), 60, "etcd is whole")


def lose_disk(lab: Lab) -> None:
    """Only the data of etcd; the kubelet and its pods go on."""
    lab.run(VICTIM, "systemctl kill --signal=SIGKILL etcd; systemctl stop etcd; rm -rf /var/lib/etcd/member")
    lab.run(VICTIM, "systemctl start --no-block etcd")


def lose_machine(lab: Lab) -> None:
    """All of it; an empty one of the same name and address is there soon."""
    lose(lab, VICTIM)
    make_machines()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What runs of w3 alone have made on the control node is in backups."""
    site_run(tmp_path_factory.mktemp("saved"), "--limit", ",".join(OUTSIDE))


@pytest.mark.usefixtures("saved")
@pytest.mark.parametrize("loss", [lose_disk, lose_machine])
def test_a_member_is_replaced(
    lab: Lab, users: Load, tmp_path: Path, figures: Figures, loss: Callable[[Lab], None]
) -> None:
    """One command, and it votes again."""
    moment = time.time()
    loss(lab)
    began = time.monotonic()
    code, output = play("replace_etcd_member", f"node={VICTIM}")
    seconds = time.monotonic() - began
    assert code == 0, output[-5000:]
    assert voters(lab) == set(MASTERS)
    is_ready(lab, *NODES)
    write_gap = gap(users, moment)
    figures.add(f"{VICTIM} replaced ({loss.__name__})", seconds=seconds, write_gap=write_gap)
    assert write_gap <= WRITE_GAP_SECONDS
    assert set(site_run(tmp_path).changed.values()) == {0}


@pytest.mark.parametrize("time_of_death", range(TIMES_KILLED))
def test_replacing_is_killed_and_run_again(lab: Lab, users: Load, time_of_death: int) -> None:
    """Somewhere; etcd always has its majority."""
    moment = time.time()
    said = killed("replace_etcd_member", random.uniform(6, 18), f"node={VICTIM}")
    print(f"\nrun {time_of_death}: {said}")  # noqa: T201
    code, output = play("replace_etcd_member", f"node={VICTIM}")
    assert code == 0, output[-5000:]
    assert voters(lab) == set(MASTERS)
    is_ready(lab, *NODES)
    assert gap(users, moment) <= WRITE_GAP_SECONDS
