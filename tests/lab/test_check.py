# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""check.yml finds what is wrong, and nothing where nothing is. A machine that is off is in test_fault_master."""

from __future__ import annotations

import time
from pathlib import Path

from ansible_collections.selfhosted.kubernetes.tests.lab.support import MASTERS, WORKERS, Lab, check, wait_until

SECONDS = 10
SERVICE = "kube-scheduler"


def test_a_healthy_lab(lab: Lab, tmp_path: Path) -> None:
    """Nothing is found, quickly; what it says holds no key."""
    # Metrics come some seconds after all else.
    lab.kubectl("wait --for=condition=Available --timeout=60s apiservice/v1beta1.metrics.k8s.io")
    began = time.monotonic()
    run = check(tmp_path)
    seconds = time.monotonic() - began
    print(f"\n{run.output}\ncheck.yml: {seconds:.1f} s")  # noqa: T201
    assert (run.code, run.findings) == (0, [])
    assert {area["level"] for area in run.areas.values()} == {"ok"}
    assert run.areas["certificates"]["figures"]["certificate_days"] > 300
    assert "PRIVATE" not in run.output + (tmp_path / "health.json").read_text(encoding="utf-8")
    assert seconds <= SECONDS


def test_a_cordoned_node_and_a_stopped_scheduler(lab: Lab, tmp_path: Path) -> None:
    """The first is a warning, with which the run ends well; the second is none."""
    node, master = WORKERS[0], MASTERS[-1]
    cordoned = ("warning", "nodes", (node,), "is cordoned: it gets no new pods")
    stopped = ("failure", "components", (master,), f"{SERVICE}: {SERVICE}.service is inactive (dead)")
    lab.kubectl(f"cordon {node}")
    try:
        run = check(tmp_path)
        assert (run.code, run.findings) == (0, [cordoned])
        lab.run(master, f"systemctl stop {SERVICE}")
        run = check(tmp_path)
    finally:
        lab.kubectl(f"uncordon {node}")
        lab.run(master, f"systemctl start {SERVICE}")
    assert run.code == 2
    assert sorted(run.findings) == [stopped, cordoned]
    assert f"-> kubectl uncordon {node}" in run.output
    assert f"-> on {master}: journalctl -u {SERVICE}.service -n 50; systemctl restart {SERVICE}.service" in run.output
    ready = "curl --silent --fail --cacert /etc/kubernetes/pki/ca.crt https://127.0.0.1:10259/readyz"
    wait_until(lambda: lab[master].run(ready).rc == 0, 30, f"{SERVICE} is ready again")
