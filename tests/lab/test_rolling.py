# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A changed flag of the API servers reaches one after the other, while the others serve."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
from ansible_collections.selfhosted.kubernetes.tests.lab.support import (
    CA,
    MACHINES,
    MASTERS,
    OPERATOR,
    Lab,
    address,
    site,
)

FLAG = {"max-requests-inflight": 399}
SHOWN = "--max-requests-inflight=399"
WATCHING = "/run/lab-watching"

pytestmark = pytest.mark.skipif(len(MASTERS) < 2, reason="one API server is down while it is restarted")


def not_ready(lab: Lab, master: str) -> list[float]:
    """Ask an API server as load balancers do until WATCHING is gone: times at which it was not ready."""
    curl = "curl --silent --output /dev/null --max-time 5 --write-out '%{http_code}'"
    ask = f"{curl} --cacert {CA} https://{address(master)}:6443/readyz"
    lines = lab.run(OPERATOR, f"while [ -e {WATCHING} ]; do echo $(date +%s.%N) $({ask}); sleep 0.2; done").splitlines()
    return [float(line.split()[0]) for line in lines if line.split()[1] != "200"]


@contextmanager
def one_at_a_time(lab: Lab) -> Iterator[None]:
    """Every API server is away once meanwhile, and no two at the same time."""
    lab.run(OPERATOR, f"touch {WATCHING}")
    with ThreadPoolExecutor(len(MASTERS)) as pool:
        watched = {master: pool.submit(not_ready, lab, master) for master in MASTERS}
        try:
            yield
        finally:
            lab.run(OPERATOR, f"rm {WATCHING}")
        times = {master: watch.result() for master, watch in watched.items()}
    assert all(times.values()), times
    away = sorted((min(moments), max(moments), master) for master, moments in times.items())
    for begin, end, master in away:
        print(f"\n  {master}: not ready for {end - begin:.1f} s", end="")  # noqa: T201
    for (_, end, one), (begin, _, other) in pairwise(away):
        assert end < begin, f"{one} was not ready again when {other} went"


def flagged(lab: Lab) -> list[str]:
    """Masters whose running API server has the flag."""
    command = "tr '\\0' ' ' </proc/$(systemctl show --property=MainPID --value kube-apiserver)/cmdline"
    return [master for master in MASTERS if SHOWN in lab.run(master, command)]


def test_a_flag_of_the_api_servers_rolls(lab: Lab, tmp_path: Path) -> None:
    """There and back: one change on each master, nothing else is restarted, two are never away together."""
    changed = {name: int(name in MASTERS) for name in MACHINES}
    before = lab.started()
    try:
        with one_at_a_time(lab):
            there = site(tmp_path, "-e", json.dumps({"kube_apiserver_flags": FLAG}))
        assert there.changed == changed
        assert flagged(lab) == MASTERS
    finally:
        with one_at_a_time(lab):
            back = site(tmp_path)
    assert back.changed == changed
    assert flagged(lab) == []
    after = lab.started()
    restarted = {name: {unit for unit in after[name] if after[name][unit] != before[name][unit]} for name in MACHINES}
    assert restarted == {name: {"kube-apiserver.service"} if name in MASTERS else set() for name in MACHINES}
