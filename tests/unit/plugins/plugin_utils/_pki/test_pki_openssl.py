# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is issued, read by OpenSSL as an independent reader."""

from __future__ import annotations

import base64
import re
import stat
import subprocess
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._pki.desk import Report

Run = Callable[..., Report]
OWN_CA = """
[req]
distinguished_name = name
x509_extensions = ca
[name]
[ca]
basicConstraints = critical, CA:true
subjectKeyIdentifier = 0102030405
"""


def openssl(*arguments: str | Path, fails: bool = False) -> str:
    """Output of an openssl command; with `fails`, of one that has to fail."""
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout + done.stderr


def text(path: Path) -> str:
    """A certificate as OpenSSL prints it, without indents."""
    return re.sub(r"\n\s+", "\n", openssl("x509", "-in", path, "-noout", "-text"))


def section(printed: str, title: str) -> str:
    """The line after an extension's title, which says `critical` or not."""
    found = re.search(rf"^X509v3 {title}: *(critical)?\n(.*)$", printed, re.MULTILINE)
    return f"{found[2]} {found[1] or ''}".strip() if found else ""


def test_openssl_verifies_each_certificate_for_its_purpose_alone(run: Run, folder: Path, now: datetime) -> None:
    """With its own CA, and with no other."""
    run()
    at = ("-attime", str(int(now.timestamp())), "-x509_strict")
    etcd, kubernetes = folder / "ca/etcd.crt", folder / "ca/kubernetes.crt"
    server, admin = folder / "certs/m1/etcd-server.crt", folder / "certs/admin.crt"
    for purpose in ("sslserver", "sslclient"):
        openssl("verify", *at, "-purpose", purpose, "-CAfile", etcd, server)
    for name in ("m1", "localhost"):
        openssl("verify", *at, "-verify_hostname", name, "-CAfile", etcd, server)
    for address in ("10.0.0.11", "::1"):
        openssl("verify", *at, "-verify_ip", address, "-CAfile", etcd, server)
    openssl("verify", *at, "-purpose", "sslclient", "-CAfile", kubernetes, admin)
    openssl("verify", *at, "-purpose", "sslserver", "-CAfile", kubernetes, admin, fails=True)
    openssl("verify", *at, "-verify_hostname", "m2", "-CAfile", etcd, server, fails=True)
    openssl("verify", *at, "-CAfile", kubernetes, server, fails=True)


def test_what_openssl_reads_in_a_leaf(run: Run, folder: Path) -> None:
    """Subject as Kubernetes wants it, P-256, critical constraints, identifiers, dates."""
    run()
    admin, server = text(folder / "certs/admin.crt"), text(folder / "certs/m1/etcd-server.crt")
    assert "Subject: O = system:masters, CN = kubernetes-admin\n" in admin
    assert "Issuer: CN = kubernetes-ca\n" in admin
    assert "ASN1 OID: prime256v1" in admin
    assert "Signature Algorithm: ecdsa-with-SHA256" in admin
    assert "Not Before: Nov 23 11:55:00 2026 GMT" in admin
    assert "Not After : Nov 18 11:55:00 2027 GMT" in admin
    assert section(admin, "Basic Constraints") == "CA:FALSE critical"
    assert section(admin, "Key Usage") == "Digital Signature critical"
    assert section(admin, "Extended Key Usage") == "TLS Web Client Authentication"
    assert section(server, "Extended Key Usage") == "TLS Web Server Authentication, TLS Web Client Authentication"
    assert section(server, "Subject Alternative Name") == (
        "DNS:m1, DNS:localhost, IP Address:10.0.0.11, IP Address:0:0:0:0:0:0:0:1"
    )
    authority = text(folder / "ca/etcd.crt")
    assert section(server, "Authority Key Identifier") == section(authority, "Subject Key Identifier") != ""


def test_what_openssl_reads_in_a_ca(run: Run, folder: Path) -> None:
    """It can sign leaf certificates only, for ten years."""
    run()
    authority = text(folder / "ca/kubernetes.crt")
    assert section(authority, "Basic Constraints") == "CA:TRUE, pathlen:0 critical"
    assert section(authority, "Key Usage") == "Digital Signature, Certificate Sign, CRL Sign critical"
    assert "Not After : Nov 20 11:55:00 2036 GMT" in authority


def test_serials_are_long_and_differ(run: Run, folder: Path) -> None:
    """As the CA/Browser Forum asks: not to be guessed."""
    run()
    serials = [openssl("x509", "-in", path, "-noout", "-serial").strip() for path in folder.rglob("*.crt")]
    assert len(set(serials)) == len(serials) == 4
    # 159 random bits; fewer than 100 significant ones would be a fault and not bad luck.
    assert all(int(serial.removeprefix("serial="), 16).bit_length() > 100 for serial in serials)


def test_no_certificate_outlives_its_ca(run: Run, wanted: dict[str, Any], folder: Path, now: datetime) -> None:
    """It would be refused on the day after, without being near its own end."""
    wanted["days"] = {"ca": 400, "leaf": 360}
    run()
    later = now + timedelta(days=300)
    report = run(later)
    assert {item.name for item in report.issued} == {"certs/m1/etcd-server", "certs/admin"}
    end = openssl("x509", "-in", folder / "ca/etcd.crt", "-noout", "-enddate")
    assert openssl("x509", "-in", folder / "certs/m1/etcd-server.crt", "-noout", "-enddate") == end
    assert any("ca/etcd expires in 99 days" in warning for warning in report.warnings)
    assert not run(later).issued, "a short life is no reason to issue it each time"


def test_service_account_keys_sign_and_verify(run: Run, folder: Path, tmp_path: Path) -> None:
    """The private key signs what the public one verifies (ECDSA: kube-apiserver's ES256)."""
    run()
    token = tmp_path / "token"
    token.write_text("a token", encoding="ascii")
    signature = tmp_path / "signature"
    openssl("dgst", "-sha256", "-sign", folder / "keys/sa.key", "-out", signature, token)
    openssl("dgst", "-sha256", "-verify", folder / "keys/sa.pub", "-signature", signature, token)
    assert "prime256v1" in openssl("pkey", "-in", folder / "keys/sa.key", "-noout", "-text")


def test_the_encryption_key_is_what_kube_apiserver_takes(run: Run, folder: Path) -> None:
    """Base64 of 32 bytes."""
    run()
    assert len(base64.b64decode((folder / "keys/encryption-key").read_bytes(), validate=True)) == 32


def test_nobody_else_may_read_anything(run: Run, folder: Path) -> None:
    """Files 0600, folders 0700, whatever the umask, and nothing temporary is left."""
    run()
    paths = [folder, *folder.rglob("*")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_dir()} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths if path.is_file()} == {0o600}
    assert not [path for path in paths if path.name.endswith(".new")]


def test_the_passphrase_encrypts_keys_of_cas_alone(run: Run, folder: Path) -> None:
    """OpenSSL opens them with it and with no other."""
    run(passphrase="correct horse")
    key = folder / "ca/etcd.key"
    assert key.read_text(encoding="ascii").startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")
    openssl("pkey", "-in", key, "-passin", "pass:correct horse", "-noout")
    openssl("pkey", "-in", key, "-passin", "pass:wrong horse", "-noout", fails=True)
    openssl("pkey", "-in", folder / "certs/admin.key", "-passin", "pass:", "-noout")
    assert not run(passphrase="correct horse").issued


@pytest.mark.parametrize(
    "algorithm", [["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"], ["-algorithm", "RSA"]]
)
def test_a_ca_of_the_users_own_issues(
    run: Run, wanted: dict[str, Any], folder: Path, tmp_path: Path, now: datetime, algorithm: list[str]
) -> None:
    """One that OpenSSL made: copied, used, and its own identifier in what it issues."""
    key, crt = tmp_path / "own.key", tmp_path / "own.crt"
    openssl("genpkey", *algorithm, "-out", key)
    # Only what a CA needs: with its own authorityKeyIdentifier beside such an identifier OpenSSL refuses its own work.
    config = tmp_path / "own.cnf"
    config.write_text(OWN_CA, encoding="ascii")
    own: list[str | Path] = ["-subj", "/O=Example/CN=Our own CA", "-config", config]
    openssl("req", "-x509", "-new", "-key", key, "-days", "3650", "-out", crt, *own)
    wanted["cas"][1] |= {"certificate": str(crt), "key": str(key)}
    after = now + timedelta(days=365 * 5)  # OpenSSL has this machine's clock, the store that of the test
    report = run(after)
    assert ("ca/etcd", "it is the user's own") in [(item.name, item.reason) for item in report.issued]
    assert (folder / "ca/etcd.crt").read_bytes() == crt.read_bytes()
    at = ("-attime", str(int(after.timestamp())))
    openssl("verify", *at, "-purpose", "sslserver", "-CAfile", crt, folder / "certs/m1/etcd-server.crt")
    assert section(text(folder / "certs/m1/etcd-server.crt"), "Authority Key Identifier") == "01:02:03:04:05"
    assert not run(after).issued
    # Both files are ours now: without the variable it goes on.
    wanted["cas"][1] = {"name": "etcd", "cn": "etcd-ca"}
    assert not run(after).issued
