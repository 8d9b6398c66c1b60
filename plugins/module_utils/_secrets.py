# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets as they are stored: which one another key encrypted, and having it written again."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from collections.abc import Callable, Iterator
from typing import Optional
from urllib.parse import urlsplit

PAGE = 200
OK, NOT_FOUND, CONFLICT = 200, 404, 409
# Method, path and body to status and answer.
Ask = Callable[[str, str, Optional[bytes]], "tuple[int, bytes]"]


class SecretsError(Exception):
    """Something that the user can act on; the text is shown as it is."""


def stored_otherwise(etcd: Ask, prefix: str, key_name: str) -> list[str]:
    """NAMESPACE/NAME of all secrets that were not encrypted with the key, from etcd itself."""
    wanted = f"k8s:enc:secretbox:v1:{key_name}:".encode()
    folder = f"{prefix}/secrets/"
    return [name[len(folder) :] for name, value in _stored(etcd, folder) if not value.startswith(wanted)]


def _stored(etcd: Ask, folder: str) -> Iterator[tuple[str, bytes]]:
    # The end of a range of keys is the first one that is not in it: here the folder's name with its slash counted up.
    begin, end = folder.encode(), folder[:-1].encode() + b"0"
    more = True
    while more:
        question = {"key": _text(begin), "range_end": _text(end), "limit": PAGE}
        status, answer = etcd("POST", "/v3/kv/range", json.dumps(question).encode())
        if status != OK:
            raise SecretsError(f"etcd answered {status}: {answer.decode(errors='replace').strip()[:500]}")
        document = json.loads(answer)
        for entry in document.get("kvs", []):
            begin = base64.b64decode(entry["key"])
            yield begin.decode(), base64.b64decode(entry.get("value", ""))
        begin += b"\0"
        more = bool(document.get("more"))


def rewrite(api: Ask, secret: str) -> None:
    """Have one written again as it is. Whoever changed or removed it meanwhile has done so: nothing is lost."""
    namespace, name = secret.split("/")
    path = f"/api/v1/namespaces/{namespace}/secrets/{name}"
    status, document = api("GET", path, None)
    if status == OK:
        status, document = api("PUT", path, document)
    if status not in (OK, NOT_FOUND, CONFLICT):
        raise SecretsError(f"secret {secret} cannot be written again: {_message(status, document)}")


def rewrite_all(api: Ask, etcd: Ask, prefix: str, key_name: str) -> int:
    """How many were written again; ends when etcd has none of another key, fails when that does not get nearer."""
    count = 0
    left = stored_otherwise(etcd, prefix, key_name)
    while left:
        for secret in left:
            rewrite(api, secret)
        count += len(left)
        before, left = set(left), stored_otherwise(etcd, prefix, key_name)
        if stuck := sorted(before.intersection(left)):
            raise SecretsError(
                f"still encrypted with another key though written again: {', '.join(stuck[:5])} ({len(stuck)} in all): "
                f"does every API server encrypt with {key_name}? Run playbooks/rotate_certificates.yml from its start"
            )
    return count


def connect(url: str, ca: str, cert: str, key: str) -> Ask:
    """Questions over one connection; one that the server closed meanwhile is opened again."""
    context = ssl.create_default_context(cafile=ca)
    context.load_cert_chain(cert, key)
    connection = http.client.HTTPSConnection(urlsplit(url).netloc, context=context, timeout=30)

    def ask(method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()

    def ask_again(method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        try:
            return ask(method, path, body)
        except (OSError, http.client.HTTPException):
            connection.close()
        try:
            return ask(method, path, body)
        except (OSError, http.client.HTTPException) as error:
            raise SecretsError(f"{url}: {error}") from error

    return ask_again


def _text(key: bytes) -> str:
    return base64.b64encode(key).decode()


def _message(status: int, document: bytes) -> str:
    try:
        return str(json.loads(document)["message"])
    except (ValueError, KeyError, TypeError):
        return f"{status} {document.decode(errors='replace').strip()[:500]}"
