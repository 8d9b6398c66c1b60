# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site run that is killed anywhere: running it again completes it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from ansible_collections.selfhosted.kubernetes.tests.lab.support import (
    MACHINES,
    NODES,
    VERSION,
    Lab,
    killed,
    playbook,
    site,
)

TIMES = 5
# From the first check of hosts to the last wait; a whole run takes some 30 s.
SECONDS = (4.0, 30.0)


@pytest.mark.parametrize("time_of_death", range(TIMES))
def test_site_run_killed_and_run_again(lab: Lab, tmp_path: Path, time_of_death: int) -> None:
    """From bare machines; a third run then finds nothing to do."""
    code, output = playbook("reset", f"reset_hosts={','.join(MACHINES)}", "reset_confirm=lab")
    assert code == 0, output
    seconds = random.uniform(*SECONDS)
    print(f"\nrun {time_of_death}: {killed('site', seconds)}")  # noqa: T201
    site(tmp_path)
    lab.kubectl(f"wait --for=condition=Ready --timeout=10s node {' '.join(NODES)}")
    assert {node["status"]["nodeInfo"]["kubeletVersion"] for node in lab.get("nodes")["items"]} == {VERSION}
    assert set(site(tmp_path).changed.values()) == {0}
