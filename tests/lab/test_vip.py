# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The virtual address of the API, for clients outside the nodes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml
from ansible_collections.selfhosted.kubernetes.tests.lab.support import (
    FOLDER,
    MASTERS,
    OPERATOR,
    Lab,
    address,
    inventory,
    wait_until,
    watch,
)

VIP = inventory()["_meta"]["hostvars"][MASTERS[0]].get("cluster_vip")
GAP_SECONDS = 10
WATCH_SECONDS = 20

pytestmark = pytest.mark.skipif(not VIP, reason="this lab has no cluster_vip")


def owners(lab: Lab) -> list[str]:
    """Masters that have the address."""
    return [master for master in MASTERS if f" {VIP}/" in lab.run(master, "ip -oneline -4 address")]


def test_operator_uses_it() -> None:
    """The kubeconfig on the control node."""
    config = yaml.safe_load((FOLDER / "kubeconfig").read_text(encoding="utf-8"))
    assert config["clusters"][0]["cluster"]["server"] == f"https://{VIP}:6443"


def test_one_master_has_it(lab: Lab) -> None:
    """And the API answers there, by a certificate for that address."""
    wait_until(lambda: len(owners(lab)) == 1, 30, f"one master has {VIP}")
    assert lab.kubectl(f"--server=https://{VIP}:6443 get --raw /readyz") == "ok"


def test_it_leaves_a_master_without_api(lab: Lab) -> None:
    """To another one, and stays there when the first is well again."""
    (first,) = owners(lab)
    with ThreadPoolExecutor(1) as pool:
        watched = pool.submit(watch, lab, OPERATOR, WATCH_SECONDS, f"https://{VIP}:6443/readyz")
        lab.run(first, "systemctl stop kube-apiserver")
        try:
            wait_until(lambda: owners(lab) not in ([first], []), GAP_SECONDS, f"{VIP} leaves {first}")
            (second,) = owners(lab)
            gap = watched.result()
        finally:
            lab.run(first, "systemctl start kube-apiserver")
    print(f"\n{VIP} moved from {first} to {second}: longest time without an answer {gap:.1f} s")  # noqa: T201
    assert gap <= GAP_SECONDS
    api = f"--server=https://{address(first)}:6443 get --raw /readyz"
    wait_until(lambda: lab.try_kubectl(api).rc == 0, 60, f"the API server of {first} is ready again")
    assert owners(lab) == [second]
