# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates as they lie in a host's files and as its processes serve them: DER in base64, for others to read."""

from __future__ import annotations

import base64
import re
import socket
import ssl
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.selfhosted.kubernetes.plugins.module_utils._component.health import split
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._component.host import Host

PEM = re.compile(r"-----BEGIN CERTIFICATE-----\s+([A-Za-z0-9+/=\s]+?)\s*-----END CERTIFICATE-----")
# A kubeconfig's and a manifest's: PEM in base64.
BASE64 = r"(?:[A-Za-z0-9+/]{4})+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
EMBEDDED = re.compile(rf"^\s*(?:client-certificate-data|tls\.crt):\s*[\"']?({BASE64})", re.MULTILINE)


def in_files(host: Host, records: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Certificates of all files that components brought. Of what else is in them nothing is returned."""
    owners: dict[str, list[str]] = {}
    for name, record in records.items():
        for path in record.get("files", {}):
            owners.setdefault(path, []).append(name)
    found = []
    for path in sorted(owners):
        file = host.read(path)
        text = file.content.decode(errors="replace") if file else ""
        found += [{"path": path, "components": owners[path], "der": der} for der in certificates(text)]
    return found


def certificates(text: str) -> Iterator[str]:
    """Every certificate of a text; a bundle has several."""
    for block in PEM.findall(text):
        yield "".join(block.split())
    for value in EMBEDDED.findall(text):
        yield from certificates(base64.b64decode(value).decode(errors="replace"))


def servers(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Where a component serves TLS: as its record says, and where its health is asked by https."""
    url = urlsplit((record.get("health") or {}).get("url") or "")
    own = [{"tcp": url.netloc}] if url.scheme == "https" else []
    return [{**server, "component": record["name"]} for server in [*own, *record.get("tls", [])]]


def served(host: Host, server: dict[str, Any], seconds: float) -> dict[str, Any]:
    """The certificate that a process shows now, whoever signed it and whenever it ended."""
    answer = {"address": server["tcp"], "component": server["component"]}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        if server.get("cert"):
            context.load_cert_chain(str(host.path(server["cert"])), str(host.path(server["key"])))
        plain = socket.create_connection(split(server["tcp"]), seconds)
        with plain, context.wrap_socket(plain) as connection:
            shown = connection.getpeercert(binary_form=True) or b""
    except OSError as error:
        return {**answer, "complaint": str(error)}
    return {**answer, "der": base64.b64encode(shown).decode()}
