# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets written again, against an API server and an etcd of a few lines; tests/rotate does it with real ones."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.module_utils import _secrets
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._secrets import (
    SecretsError,
    rewrite_all,
    stored_otherwise,
)

OLD, NEW, PLAIN = b"k8s:enc:secretbox:v1:key-old:\x00\xff", b"k8s:enc:secretbox:v1:key-new:\x00\xff", b"k8s\x00\n"


class Cluster:
    """Values by key, as etcd has them; an API server that encrypts what is written with the new key."""

    def __init__(self, **secrets: bytes) -> None:
        self.stored = {f"/registry/secrets/ns/{name}": value for name, value in secrets.items()}
        # What is beside it must not be found.
        self.stored |= {"/registry/secret": OLD, "/registry/secrets0/ns/a": OLD, "/registry/secretz/ns/a": OLD}
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.puts: list[str] = []

    def etcd(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        """The gateway's answer for a range."""
        assert (method, path) == ("POST", "/v3/kv/range")
        question = json.loads(body or b"")
        begin, end = (base64.b64decode(question[name]).decode() for name in ("key", "range_end"))
        found = [(key, value) for key, value in sorted(self.stored.items()) if begin <= key < end]
        kvs = [{"key": _b64(key.encode()), "value": _b64(value)} for key, value in found[: question["limit"]]]
        answer: dict[str, Any] = {"kvs": kvs} if kvs else {}
        return 200, json.dumps(answer | ({"more": True} if len(found) > len(kvs) else {})).encode()

    def api(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        """Read, or write with the new key."""
        _, _, _, _, namespace, _, name = path.split("/")
        key = f"/registry/secrets/{namespace}/{name}"
        if f"{method} {name}" in self.answers:
            status, document = self.answers[f"{method} {name}"]
            if status == 409:
                self.stored[key] = NEW
            elif status == 404:
                self.stored.pop(key, None)
            return status, document
        if method == "PUT":
            assert body == b"the object of " + name.encode()
            self.puts.append(name)
            self.stored[key] = NEW
        return 200, b"the object of " + name.encode()


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_only_what_another_key_encrypted_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over several pages; a second run writes nothing."""
    monkeypatch.setattr(_secrets, "PAGE", 2)
    cluster = Cluster(a=OLD, b=NEW, c=PLAIN, d=OLD, e=OLD)
    assert stored_otherwise(cluster.etcd, "/registry", "key-new") == ["ns/a", "ns/c", "ns/d", "ns/e"]
    assert rewrite_all(cluster.api, cluster.etcd, "/registry", "key-new") == 4
    assert cluster.puts == ["a", "c", "d", "e"]
    assert rewrite_all(cluster.api, cluster.etcd, "/registry", "key-new") == 0


def test_a_name_that_begins_like_ours() -> None:
    """Keys have whole names."""
    cluster = Cluster(a=b"k8s:enc:secretbox:v1:key-newer:x")
    assert stored_otherwise(cluster.etcd, "/registry", "key-new") == ["ns/a"]


def test_no_secret_at_all() -> None:
    """Nothing to do."""
    assert rewrite_all(Cluster().api, Cluster().etcd, "/registry", "key-new") == 0


@pytest.mark.parametrize("answer", [("GET a", 404), ("PUT a", 404), ("PUT a", 409)])
def test_somebody_else_was_faster(answer: tuple[str, int]) -> None:
    """They removed it, or wrote it with the new key themselves."""
    cluster = Cluster(a=OLD, b=OLD)
    cluster.answers[answer[0]] = (answer[1], b"{}")
    assert rewrite_all(cluster.api, cluster.etcd, "/registry", "key-new") == 2
    assert cluster.puts == ["b"]


@pytest.mark.parametrize(
    ("document", "text"),
    [(b'{"message": "admission webhook denied the request"}', "admission webhook denied"), (b"oops", "403 oops")],
)
def test_a_refusal_names_the_secret(document: bytes, text: str) -> None:
    """And says why; the others were not lost."""
    cluster = Cluster(a=OLD, b=OLD)
    cluster.answers["PUT a"] = (403, document)
    with pytest.raises(SecretsError, match=f"secret ns/a cannot be written again: {text}"):
        rewrite_all(cluster.api, cluster.etcd, "/registry", "key-new")


def test_an_api_server_with_the_old_key_first() -> None:
    """Writing does not help: an error rather than an endless loop."""
    cluster = Cluster(a=OLD, b=OLD)
    for name in ("a", "b"):
        cluster.answers[f"PUT {name}"] = (200, b"")
    with pytest.raises(SecretsError, match=r"still encrypted with another key though written again: ns/a, ns/b \(2 in"):
        rewrite_all(cluster.api, cluster.etcd, "/registry", "key-new")


def test_an_etcd_that_refuses() -> None:
    """Its answer is shown."""
    with pytest.raises(SecretsError, match="etcd answered 400: no gateway here"):
        stored_otherwise(lambda *_: (400, b"no gateway here\n"), "/registry", "key-new")
