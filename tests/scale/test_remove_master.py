# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A master leaves the cluster for good while users write, and comes back by a site run."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.selfhosted.kubernetes.tests.lab.load import Load
from ansible_collections.selfhosted.kubernetes.tests.lab.support import MASTERS, NODES, Lab, killed, wait_until
from ansible_collections.selfhosted.kubernetes.tests.scale.machines import (
    WRITE_GAP_SECONDS,
    Figures,
    gap,
    is_ready,
    lose,
    make_machines,
    play,
    site_run,
    voters,
)

*STAYING, GOING = MASTERS
TRACES = "ls -d /etc/kubernetes /var/lib/etcd/member /var/lib/selfhosted-kubernetes; pgrep -a 'kube|etcd'; true"


def remove(*variables: str) -> None:
    """It has to work."""
    code, output = play("remove_node", f"node={GOING}", *variables)
    assert code == 0, output[-5000:]


def alive(lab: Lab) -> None:
    """Drained, and nothing is left on it."""
    remove()
    assert lab.run(GOING, TRACES) == ""


def interrupted(lab: Lab) -> None:
    """Killed somewhere, and run again."""
    said = killed("remove_node", random.uniform(3, 8), f"node={GOING}")
    print(f"\n{said}")  # noqa: T201
    alive(lab)


def gone(lab: Lab) -> None:
    """The machine does not answer, nor ever will."""
    lose(lab, GOING)
    remove("remove_is_gone=true")


def test_a_master_is_not_removed_without_the_others(lab: Lab) -> None:
    """With --limit only its wiping would be left; nothing is changed."""
    code, output = play("remove_node", f"node={GOING}", limit=GOING)
    assert code == 2
    assert "--limit: others have to take the host out; leave it away" in output
    assert voters(lab) == set(MASTERS)
    is_ready(lab, GOING)


@pytest.mark.parametrize("way", [alive, interrupted, gone])
def test_a_master_goes_and_comes_back(
    lab: Lab, users: Load, tmp_path: Path, figures: Figures, way: Callable[[Lab], None]
) -> None:
    """The others are etcd and the API meanwhile; an empty machine of its name joins them."""
    wait_until(lambda: voters(lab) == set(MASTERS), 60, "etcd is whole")
    began = time.time()
    way(lab)
    seconds = time.time() - began
    assert voters(lab) == set(STAYING)
    assert f"node/{GOING}" not in lab.kubectl("get nodes --output=name").split()
    make_machines()
    run = site_run(tmp_path)
    assert voters(lab) == set(MASTERS)
    is_ready(lab, *NODES)
    write_gap = gap(users, began)
    back = run.figures["seconds"]
    figures.add(f"{GOING} removed ({way.__name__})", seconds=seconds, seconds_to_join=back, write_gap=write_gap)
    assert write_gap <= WRITE_GAP_SECONDS
    assert set(site_run(tmp_path).changed.values()) == {0}
