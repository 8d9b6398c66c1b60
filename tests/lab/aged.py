# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates as they are when most of their life is over."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._pki.certificate import (
    Authority,
    Wanted,
    load_key,
    new_leaf,
    pem,
    utc_now,
)
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from .support import PKI


def age(wanted: Wanted, days: int, passed: timedelta) -> dict[str, Path]:
    """Put a pair that lives for `days`, of which a part has passed, in place of the control node's; its files."""
    ca = PKI / f"ca/{wanted.ca}"
    authority = Authority(
        x509.load_pem_x509_certificate(ca.with_suffix(".crt").read_bytes()),
        load_key(ca.with_suffix(".key").read_bytes(), "its key"),
    )
    certificate, key = new_leaf(wanted, authority, days, utc_now() - passed)
    files = {kind: PKI / f"certs/{wanted.name}.{kind}" for kind in ("crt", "key")}
    files["crt"].write_bytes(certificate.public_bytes(Encoding.PEM))
    files["key"].write_bytes(pem(key))
    return files
