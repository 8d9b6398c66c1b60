# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rotations of the lab: the playbook, run or killed, and what is in use and trusted then."""

from __future__ import annotations

import ssl
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.selfhosted.kubernetes.tests.lab.support import (
    ENVIRONMENT,
    INVENTORY,
    MASTERS,
    NODES,
    OUTSIDE,
    PKI,
    ROOT,
    Lab,
    address,
    kill_all,
    playbook,
    site,
    wait_until,
)
from cryptography import x509

# Who listens where, by the CA that issues its certificate.
LISTEN = {
    "kubernetes": [(master, port) for master in MASTERS for port in (6443, 10257, 10259)]
    + [(node, 10250) for node in NODES],
    "etcd": [(master, port) for master in MASTERS for port in (2379, 2380)],
    "outside": [(host, port) for host in OUTSIDE for port in (8444, 5000)],
    "front-proxy": [],
}
# The pod's client-go reads its token again after 50 s; the playbook's 300 s are for programs that do so less often.
TOKEN_SETTLE = "rotate_settle_seconds=70"


def rotate(*variables: str) -> str:
    """Run the playbook, which has to work."""
    code, output = playbook("rotate_certificates", *variables)
    assert code == 0, output[-8000:]
    return output


def served(ca: str) -> dict[tuple[str, int], x509.Certificate]:
    """The certificate that each process shows, not the one in its file."""
    return {
        (name, port): x509.load_pem_x509_certificate(
            ssl.get_server_certificate((address(name), port), timeout=5).encode()
        )
        for name, port in LISTEN[ca]
    }


def numbers() -> dict[tuple[str, int], int]:
    """Serial numbers of all that is served."""
    return {place: certificate.serial_number for ca in LISTEN for place, certificate in served(ca).items()}


def bundle(ca: str, folder: Path = PKI) -> list[x509.Certificate]:
    """CAs that are trusted, first the one in use."""
    return x509.load_pem_x509_certificates((folder / f"ca/{ca}.crt").read_bytes())


def killed(*variables: str, when: str, reached: Callable[[], bool] = lambda: True, after: float = 3.0) -> None:
    """Run the playbook and kill it some seconds after it says something in the phase reached."""
    extra = [word for variable in variables for word in ("-e", variable)]
    argv = ["ansible-playbook", "-i", str(INVENTORY), str(ROOT / "playbooks/rotate_certificates.yml"), *extra]
    with subprocess.Popen(
        argv,
        cwd=ROOT,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as run:
        assert run.stdout is not None
        for line in run.stdout:
            if when in line and reached():
                time.sleep(after)
                kill_all(run.pid)
                break
        else:
            pytest.fail(f"it never said {when}")


def everything_is_well(lab: Lab, tmp_path: Path) -> None:
    """Nothing is left to do, and extension API servers, logs and DNS work."""
    assert set(site(tmp_path).changed.values()) == {0}
    assert not (PKI / "rotations.json").exists()
    assert not list(PKI.rglob("*.next.*"))
    wait_until(lambda: lab.try_kubectl("top nodes").rc == 0, 60, "metrics-server answers")
    assert lab.try_kubectl("logs --namespace=kube-system deployment/coredns --tail=1").rc == 0
