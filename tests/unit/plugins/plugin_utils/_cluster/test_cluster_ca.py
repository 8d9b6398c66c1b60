# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Authorities on the control node: made here, checked as the action does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.ca import REPLACE, authority_errors
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.model import report
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

NOW = datetime(2026, 11, 24, tzinfo=UTC)
NOT_OPENED = "the passphrase does not open this CA key; set pki_ca_passphrase to the right one"
TOO_EARLY = "this CA is not valid before 2026-11-25 00:00 UTC; correct the clock here"
NO_CA = f"this certificate is not that of a CA (basicConstraints); {REPLACE}"
NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "kubernetes-ca")])


def write_ca(
    folder: Path, name: str = "kubernetes", ca: bool = True, begin: int = -1, end: int = 100, passphrase: str = ""
) -> None:
    """A CA valid from ``begin`` to ``end`` days from now."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateBuilder(NAME, NAME, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(NOW + timedelta(days=begin)).not_valid_after(NOW + timedelta(days=end))
    certificate = builder.add_extension(x509.BasicConstraints(ca, None), critical=True).sign(key, hashes.SHA256())
    encryption = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.crt").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / f"{name}.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))


def errors(pki_dir: Path, given: dict[str, Any] | None = None, passphrase: str = "") -> list[str]:
    """Lines without the folder of the test."""
    return [line.replace(f"{pki_dir}/", "") for line in report(authority_errors(pki_dir, given or {}, passphrase, NOW))]


@pytest.mark.parametrize(
    ("options", "passphrase", "expected"),
    [
        ({}, "", []),
        ({}, "set only now", []),
        ({"passphrase": "right"}, "right", []),
        ({"passphrase": "right"}, "wrong", [f"ca/kubernetes.key: {NOT_OPENED}"]),
        ({"passphrase": "right"}, "", [f"ca/kubernetes.key: {NOT_OPENED}"]),
        ({"begin": -9, "end": -1}, "", [f"ca/kubernetes.crt: this CA expired on 2026-11-23; {REPLACE}"]),
        ({"begin": 1}, "", [f"ca/kubernetes.crt: {TOO_EARLY}"]),
        ({"ca": False}, "", [f"ca/kubernetes.crt: {NO_CA}"]),
    ],
)
def test_one_authority(tmp_path: Path, options: dict[str, Any], passphrase: str, expected: list[str]) -> None:
    """Each error names the file."""
    write_ca(tmp_path / "ca", **options)
    assert errors(tmp_path, passphrase=passphrase) == expected


def test_key_of_another_authority(tmp_path: Path) -> None:
    """Certificates made with it would be trusted by nobody."""
    write_ca(tmp_path / "ca")
    write_ca(tmp_path / "ca", "etcd")
    (tmp_path / "ca" / "etcd.key").replace(tmp_path / "ca" / "kubernetes.key")
    assert errors(tmp_path) == [f"ca/kubernetes.key: this CA key does not belong to kubernetes.crt; {REPLACE}"]


def test_what_is_no_certificate_or_key(tmp_path: Path) -> None:
    """A damaged file is an error, not a crash."""
    write_ca(tmp_path / "ca")
    write_ca(tmp_path / "ca", "etcd")
    (tmp_path / "ca" / "etcd.crt").write_text("none")
    (tmp_path / "ca" / "kubernetes.key").write_text("none")
    first, second = errors(tmp_path)
    assert first == f"ca/kubernetes.key: it cannot be read as a private key; {REPLACE}"
    assert second.startswith("ca/etcd.crt: it cannot be read as a certificate (")


def test_absent_authority_or_key_is_fine(tmp_path: Path) -> None:
    """It will be made; a key may be kept elsewhere while nothing is issued."""
    assert errors(tmp_path) == []
    write_ca(tmp_path / "ca")
    (tmp_path / "ca" / "kubernetes.key").unlink()
    assert errors(tmp_path) == []


def test_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checked where they lie, in a home folder too."""
    write_ca(tmp_path / "own", begin=-9, end=-2)
    pair = {"certificate": str(tmp_path / "own/kubernetes.crt"), "key": str(tmp_path / "own/kubernetes.key")}
    assert errors(tmp_path, {"kubernetes": pair}) == [f"own/kubernetes.crt: this CA expired on 2026-11-22; {REPLACE}"]
    monkeypatch.setenv("HOME", str(tmp_path))
    home = {kind: path.replace(str(tmp_path), "~") for kind, path in pair.items()}
    assert errors(tmp_path, {"kubernetes": home}) == errors(tmp_path, {"kubernetes": pair})
    assert errors(tmp_path, {"etcd": {**pair, "key": f"{tmp_path}/none"}}) == [
        "pki_user_cas: there is no file none; correct the path"
    ]
    fix = "give one of kubernetes, etcd, front-proxy, outside the paths certificate and key"
    assert errors(tmp_path, {"web": pair}) == [
        f"pki_user_cas: web is not one of our CAs with certificate and key; {fix}"
    ]
