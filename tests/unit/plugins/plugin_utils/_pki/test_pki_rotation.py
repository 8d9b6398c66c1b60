# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rotations: each phase, each point at which a run may be killed, and that what exists is trusted at every moment."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._pki import certificate as x
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._pki.certificate import PkiError
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._pki.desk import Report
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._pki.folder import Folder
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._pki.keys import PUBLIC, key_id, random_id
from cryptography import x509
from cryptography.hazmat.primitives import serialization

Run = Callable[..., Report]
Snapshot = Callable[[], dict[str, bytes]]
PHASES = ("trust", "issue", "drop", "end")
ALL = ("ca/etcd", "keys/sa", "keys/encryption-key")
DAY = timedelta(days=1)
ETCD, ADMIN = "certs/m1/etcd-server", "certs/admin"


def reasons(report: Report) -> dict[str, str]:
    """Why each name was issued."""
    return {item.name: item.reason for item in report.issued}


def trusted(folder: Path, what: str) -> list[str]:
    """Who is trusted, first the one in use."""
    if what.startswith("ca/"):
        bundle = x509.load_pem_x509_certificates((folder / f"{what}.crt").read_bytes())
        key = x.load_key((folder / f"{what}.key").read_bytes(), what, "s3cret")
        assert key.public_key() == bundle[0].public_key()
        return [f"{certificate.serial_number:x}" for certificate in bundle]
    if what == "keys/encryption-key":
        return [random_id(line) for line in (folder / what).read_bytes().split()]
    own = key_id(x.public_pem(x.load_key((folder / f"{what}.key").read_bytes(), what)))
    found = [key_id(block) for block in PUBLIC.findall((folder / f"{what}.pub").read_bytes())]
    assert own in found
    return [own, *(public for public in found if public != own)]


def check_leaf(folder: Path, name: str, issuer: int = 0) -> None:
    """A certificate is from one of the CAs that are trusted."""
    bundle = x509.load_pem_x509_certificates((folder / "ca/etcd.crt").read_bytes())
    certificate = x509.load_pem_x509_certificate((folder / f"{name}.crt").read_bytes())
    assert x.issued_by(certificate, bundle[issuer])


@pytest.mark.parametrize("what", ALL)
def test_phases(run: Run, folder: Path, snapshot: Snapshot, now: datetime, what: str) -> None:
    """[old], [old, new], [new, old], [new]; a phase that is done does nothing, nor does a run without one."""
    run()
    (old,) = trusted(folder, what)
    seen = {}
    for phase in PHASES:
        assert len(run(now + DAY, rotate=f"{what} {phase}").rotated) == (phase != "end")
        before = snapshot()
        seen[phase] = trusted(folder, what)
        for again in (*PHASES[: PHASES.index(phase) + 1], ""):
            report = run(now + DAY, rotate=f"{what} {again}" if again not in ("", "end") and phase != "end" else "")
            assert (report.rotated, report.issued, report.repaired) == ([], [], [])
        assert snapshot() == before
    new = seen["drop"][0]
    assert seen == {"trust": [old, new], "issue": [new, old], "drop": [new], "end": [new]}
    assert new != old
    assert not (folder / "rotations.json").exists()
    assert not list(folder.rglob("*next*"))


def test_certificates_follow_their_ca(run: Run, folder: Path, now: datetime) -> None:
    """They are issued again when the successor issues, and at no other moment."""
    run()
    issued = {}
    for phase in PHASES:
        issued[phase] = {name for name in reasons(run(now + DAY, rotate=f"ca/etcd {phase}")) if "certs" in name}
        check_leaf(folder, ETCD)
    assert issued == {"trust": set(), "issue": {ETCD}, "drop": set(), "end": set()}
    subject = x509.load_pem_x509_certificate((folder / "ca/etcd.crt").read_bytes()).subject
    assert subject.rfc4514_string() == "CN=etcd-ca 2026-11-24"


@pytest.mark.parametrize("what", [*ALL, "certs"])
@pytest.mark.parametrize("passphrase", ["", "s3cret"])
def test_killed_after_each_file(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch, now: datetime, what: str, passphrase: str
) -> None:
    """Whatever the phase: the next run finishes it, one successor comes in the end, and all that is used is trusted."""
    run(passphrase=passphrase)
    old = trusted(folder, what) if what != "certs" else []
    ways = {name: getattr(Folder, name) for name in ("write", "rename", "remove")}

    class Killed(BaseException):
        """No code of ours handles it, as none handles SIGKILL."""

    for phase in PHASES if what != "certs" else ("issue", "end"):
        done, step = False, 0
        while not done:
            step += 1
            left = step

            def dying(self: Folder, *arguments: Any, _way: str, **more: Any) -> None:
                nonlocal left
                left -= 1
                if left == 0:
                    raise Killed
                ways[_way](self, *arguments, **more)

            with monkeypatch.context() as patch, contextlib.suppress(Killed):
                for way in ways:
                    patch.setattr(Folder, way, lambda *a, _way=way, **m: dying(*a, _way=_way, **m))
                run(now + DAY, passphrase, rotate=f"{what} {phase}")
                done = True
                assert step > 1 or phase == "end"
            # As site.yml alone would do, between an interrupted run and the next.
            run(now + DAY, passphrase)
            check_leaf(folder, ETCD)
            if what != "certs":
                assert len(trusted(folder, what)) <= 2
        if phase == "end":
            break
    assert not (folder / "rotations.json").exists()
    assert not run(now + DAY, passphrase).repaired
    if what != "certs":
        (new,) = trusted(folder, what)
        assert [new] != old


@pytest.mark.parametrize("what", ALL)
def test_check_mode_writes_nothing(run: Run, snapshot: Snapshot, what: str) -> None:
    """And says of the phase that is next what it would do; of those after it nothing, for they build on it."""
    run()
    before = snapshot()
    assert [len(run(check=True, rotate=f"{what} {phase}").rotated) for phase in PHASES] == [1, 0, 0, 0]
    assert snapshot() == before
    run(rotate=f"{what} trust")
    before = snapshot()
    assert [len(run(check=True, rotate=f"{what} {phase}").rotated) for phase in PHASES[:3]] == [0, 1, 0]
    assert snapshot() == before


@pytest.mark.parametrize(
    ("done", "asked", "error"),
    [
        ([], "issue", "`issue` is a phase too early: run playbooks/rotate_certificates.yml"),
        (["trust"], "drop", "`drop` is a phase too early"),
        (["trust", "issue"], "end", "its rotation is not over"),
    ],
)
@pytest.mark.parametrize("what", ALL)
def test_no_phase_is_left_out(run: Run, snapshot: Snapshot, what: str, done: list[str], asked: str, error: str) -> None:
    """Somebody would not be trusted."""
    run()
    for phase in done:
        run(rotate=f"{what} {phase}")
    before = snapshot()
    with pytest.raises(PkiError, match=error):
        run(rotate=f"{what} {asked}")
    assert snapshot() == before


def test_unknown_names(run: Run, folder: Path) -> None:
    """All that there is to rotate is named."""
    wanted = "there is no `ca/etdc` to rotate, only certs, ca/kubernetes, ca/etcd, keys/sa, keys/encryption-key"
    with pytest.raises(PkiError, match=wanted):
        run(rotate="ca/etdc trust")
    assert not (folder / "ca").exists()


def test_files_of_neither(run: Run, folder: Path) -> None:
    """Put there by hand in the middle: an error, rather than a guess."""
    run()
    run(rotate="keys/encryption-key trust")
    (folder / "keys/encryption-key").write_bytes(b"A" * 43 + b"=")
    with pytest.raises(PkiError, match="keys/encryption-key is neither what its rotation began with nor what replaces"):
        run()


def test_a_damaged_record_is_an_error(run: Run, folder: Path) -> None:
    """It would begin anew."""
    run()
    (folder / "rotations.json").write_text("{", encoding="ascii")
    with pytest.raises(PkiError, match=r"rotations\.json is damaged: put it back"):
        run()


def test_two_rotations_at_once(run: Run, folder: Path, now: datetime) -> None:
    """Each goes on for itself: that of service account keys waits for a day."""
    run()
    for phase in ("trust", "issue"):
        run(rotate=f"keys/sa {phase}")
    for phase in PHASES:
        run(now + DAY, rotate=f"ca/etcd {phase}")
    assert list(json.loads((folder / "rotations.json").read_bytes())) == ["keys/sa"]
    assert len(trusted(folder, "keys/sa")) == 2
    run(now + DAY, rotate="keys/sa drop")
    run(now + DAY, rotate="keys/sa end")
    assert len(trusted(folder, "keys/sa")) == 1


def test_what_else_is_trusted_stays(run: Run, folder: Path) -> None:
    """A key that somebody put beside ours has nothing to do with the rotation."""
    run()
    other = x.public_pem(x.new_key())
    public = folder / "keys/sa.pub"
    public.write_bytes(other + public.read_bytes())
    for phase in PHASES:
        run(rotate=f"keys/sa {phase}")
        assert other in public.read_bytes()
    assert len(trusted(folder, "keys/sa")) == 2


# ---- all certificates
def test_all_certificates_once(run: Run, folder: Path, now: datetime) -> None:
    """Those that were made before the rotation began, however often it is interrupted and run again."""
    run(now - DAY)
    assert set(reasons(run(rotate="certs issue"))) == {ETCD, ADMIN}
    (folder / "certs/admin.crt").unlink()
    assert set(reasons(run(now + DAY))) == {ADMIN}
    for later in range(1, 3):
        assert not run(now + later * DAY, rotate="certs issue").issued
    run(now + 3 * DAY, rotate="certs end")
    assert not (folder / "rotations.json").exists()
    assert set(reasons(run(now + 4 * DAY, rotate="certs issue"))) == {ETCD, ADMIN}


def test_an_interrupted_renewal_goes_on(run: Run, now: datetime, wanted: dict[str, Any]) -> None:
    """One certificate was issued, then the run was killed: the rest follows."""
    run(now - DAY)
    wanted["certificates"].reverse()
    everything = wanted["certificates"]
    wanted["certificates"] = everything[:1]
    assert set(reasons(run(rotate="certs issue"))) == {ADMIN}
    wanted["certificates"] = everything
    assert set(reasons(run(now + DAY, rotate="certs issue"))) == {ETCD}


def test_a_clock_that_went_back(run: Run, now: datetime) -> None:
    """Each run would issue everything again."""
    run(now - DAY)
    run(rotate="certs issue")
    with pytest.raises(PkiError, match="began at 2026-11-23 12:00 UTC, which is later than now: correct the clock"):
        run(now - timedelta(hours=1), rotate="certs issue")


# ---- CAs of the user
def own(folder: Path, name: str, now: datetime) -> dict[str, str]:
    """Files of a CA that a user made."""
    key = x.new_key()
    certificate = x.new_authority(name, key, 900, now)
    (folder / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(x.pem(key))
    return {"certificate": str(folder / f"{name}.crt"), "key": str(folder / f"{name}.key")}


def test_a_users_ca_by_another_one(
    run: Run, wanted: dict[str, Any], folder: Path, tmp_path: Path, now: datetime
) -> None:
    """The user names the successor's files; until they do, the error says so."""
    wanted["cas"][1] |= (first := own(tmp_path, "first", now))
    run()
    with pytest.raises(PkiError, match=r"first.crt is the CA in use: name the files of its successor in `pki_user_cas"):
        run(rotate="ca/etcd trust")
    wanted["cas"][1] |= (second := own(tmp_path, "second", now))
    with pytest.raises(PkiError, match="is not the CA in use"):
        run()
    run(rotate="ca/etcd trust")
    run()
    bundle = (folder / "ca/etcd.crt").read_bytes()
    assert bundle == b"".join(Path(pair["certificate"]).read_bytes() for pair in (first, second))
    check_leaf(folder, ETCD)
    for phase in PHASES[1:]:
        run(rotate=f"ca/etcd {phase}")
        run()
        check_leaf(folder, ETCD)
    assert (folder / "ca/etcd.crt").read_bytes() == Path(second["certificate"]).read_bytes()


def test_a_users_ca_by_ours_and_back(
    run: Run, wanted: dict[str, Any], folder: Path, tmp_path: Path, now: datetime
) -> None:
    """Naming none means one of ours."""
    ours = dict(wanted["cas"][1])
    wanted["cas"][1] |= own(tmp_path, "first", now)
    run()
    for cas in (ours, {**ours, **own(tmp_path, "third", now)}):
        wanted["cas"][1] = cas
        for phase in PHASES:
            run(rotate=f"ca/etcd {phase}")
            check_leaf(folder, ETCD)
        assert not run().issued


def test_the_same_key_in_a_new_certificate(
    run: Run, wanted: dict[str, Any], folder: Path, tmp_path: Path, now: datetime
) -> None:
    """A user's CA that was only made valid for longer."""
    wanted["cas"][1] |= own(tmp_path, "first", now)
    run()
    key = x.load_key((tmp_path / "first.key").read_bytes(), "first")
    longer = x.new_authority("first", key, 2000, now)
    (tmp_path / "longer.crt").write_bytes(longer.public_bytes(serialization.Encoding.PEM))
    wanted["cas"][1]["certificate"] = str(tmp_path / "longer.crt")
    for phase in PHASES:
        run(rotate=f"ca/etcd {phase}")
        check_leaf(folder, ETCD)
    assert x509.load_pem_x509_certificates((folder / "ca/etcd.crt").read_bytes()) == [longer]


def test_the_next_key_is_encrypted_too(run: Run, folder: Path) -> None:
    """From the moment on at which it waits."""
    run(passphrase="s3cret")
    run(passphrase="s3cret", rotate="ca/etcd trust")
    assert b"ENCRYPTED" in (folder / "ca/etcd.next.key").read_bytes()
    run(passphrase="s3cret", rotate="ca/etcd issue")
    assert b"ENCRYPTED" in (folder / "ca/etcd.key").read_bytes()
