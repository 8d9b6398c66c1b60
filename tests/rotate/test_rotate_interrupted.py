# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rotations that are killed in each phase: the same command again completes them, and users notice nothing."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from ansible_collections.selfhosted.kubernetes.tests.lab.support import MASTERS, PKI, Lab
from ansible_collections.selfhosted.kubernetes.tests.rotate.rotations import (
    LISTEN,
    TOKEN_SETTLE,
    bundle,
    everything_is_well,
    killed,
    numbers,
    rotate,
    served,
)
from ansible_collections.selfhosted.kubernetes.tests.rotate.watch import Watch

# The first master has what is new then, or is getting it; the others do not.
ROLL = "PLAY [Roll changes through the masters"
# All hosts have what is new.
LOOK = "TASK [Look for pods"


def phase(file: str, old: bytes) -> str:
    """How far a rotation is on the control node, by who is trusted: [old, new], [new, old], [new]."""
    now = PKI.joinpath(file).read_bytes()
    if old not in now:
        return "drop"
    if now.strip() == old:
        return "not begun"
    return "trust" if now.startswith(old) else "issue"


@pytest.mark.parametrize(
    ("variable", "file"), [("rotate_ca=etcd", "ca/etcd.crt"), ("rotate_keys=encryption", "keys/encryption-key")]
)
def test_killed_in_each_phase(lab: Lab, watch: Watch, tmp_path: Path, variable: str, file: str) -> None:
    """While masters get to trust both, while they get to use the new one, after that, while they forget the old one."""
    old = PKI.joinpath(file).read_bytes().strip()
    with watch.watched(f"{variable}, killed four times"):
        # The second one in the phase at once, before the run gets to the next.
        for where, when, after in [("trust", ROLL, 3), ("issue", ROLL, 3), ("issue", LOOK, 0), ("drop", ROLL, 3)]:
            killed(variable, when=when, reached=partial(lambda where: phase(file, old) == where, where), after=after)
            assert phase(file, old) == where
        rotate(variable)
    assert phase(file, old) == "drop"
    everything_is_well(lab, tmp_path)


def test_all_certificates_killed(lab: Lab, watch: Watch, tmp_path: Path) -> None:
    """What a host has got before is not issued once more; the rest follows."""
    before, cas = numbers(), {ca: bundle(ca) for ca in LISTEN}
    file = PKI / f"certs/{MASTERS[0]}/apiserver.crt"
    old = file.read_bytes()
    with watch.watched("all certificates, killed once"):
        # Plays of phases that are skipped are named, too.
        killed(when=ROLL, reached=lambda: file.read_bytes() != old)
        issued = file.read_bytes()
        rotate()
    after = numbers()
    assert not [place for place in before if before[place] == after[place]]
    assert file.read_bytes() == issued
    assert {ca: bundle(ca) for ca in LISTEN} == cas
    for certificate in served("etcd").values():
        certificate.verify_directly_issued_by(cas["etcd"][0])
    everything_is_well(lab, tmp_path)


def test_service_account_key_killed(lab: Lab, watch: Watch, tmp_path: Path) -> None:
    """While kubelets are restarted: the next run finds the pods that still have old tokens."""
    with watch.watched("service account key, killed once"):
        killed("rotate_keys=service-account", TOKEN_SETTLE, when="TASK [Restart their kubelets")
        rotate("rotate_keys=service-account", TOKEN_SETTLE)
    everything_is_well(lab, tmp_path)
