# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a drill compares and what is dug out of a backup, on servers of this file."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._backup.common import BackupError
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._backup.looking import (
    clean,
    compare,
    excavate,
    rehearse,
)
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._backup.plane import (
    Plane,
    refuse_to_reach_others,
)
from ansible_collections.selfhosted.kubernetes.tests.unit.plugins.module_utils._backup.conftest import KEYS

Document = dict[str, Any]


def resource(name: str, kind: str, **more: Any) -> Document:
    """As discovery describes it."""
    known = {"name": name, "kind": kind, "singularName": kind.lower(), "namespaced": True}
    return {**known, "verbs": ["create", "get", "list"], **more}


def thing(name: str, **more: Any) -> Document:
    """An object as a list has it."""
    return {"metadata": {"name": name, "namespace": "shop", "uid": "1", "resourceVersion": "7", **more}}


OWNED = [{"kind": "ReplicaSet", "name": "web", "controller": True}]
RESOURCES = [
    ("/api/v1", resource("namespaces", "Namespace", namespaced=False, shortNames=["ns"])),
    ("/api/v1", resource("pods", "Pod", shortNames=["po"])),
    ("/api/v1", resource("events", "Event")),
    ("/api/v1", resource("bindings", "Binding", verbs=["list"])),
    ("/apis/apps/v1", resource("deployments", "Deployment")),
    ("/apis/example.org/v1", resource("lamps", "Lamp")),
]
SONG = b"a song"


class Servers(Plane):
    """A plane without any process."""

    def __init__(self, folder: Path, keys: list[str] = KEYS, broken: str = "") -> None:
        super().__init__(folder, "10.96.0.0/16", "/nowhere")
        self.keys, self.broken = keys, broken
        hashed = hashlib.sha256(SONG).hexdigest()
        (folder / "manifest.json").write_text(json.dumps({"canary": hashed}), encoding="ascii")
        (folder / "objects.txt").write_text("\n".join(KEYS), encoding="ascii")
        self.song = SONG

    def start_etcd(self) -> list[str]:
        """What it has."""
        return self.keys

    def start_api(self) -> None:
        """It answers at once."""

    def resources(self) -> list[tuple[str, Document]]:
        """Those of this file."""
        return RESOURCES

    def objects(self, path: str) -> Iterator[Document]:
        """Two pods, one of which somebody made."""
        if path.endswith("/lamps") and self.broken:
            raise BackupError(f"{path}: {self.broken}")
        pods = [{**thing("web-1", ownerReferences=OWNED), "spec": {}}, {**thing("alone"), "spec": {"nodeName": "w1"}}]
        yield from pods if path.endswith("/pods") else []

    def get(self, path: str) -> Document:
        """The canary, or an object of any name."""
        if path.endswith("/backup-canary"):
            return {"data": {"song": base64.b64encode(self.song).decode()}}
        kinds = {"lamps": "Lamp", "namespaces": "Namespace"}
        kind = next(kind for name, kind in kinds.items() if path.rsplit("/", 2)[1] == name)
        return {"kind": kind, **thing(path.rpartition("/")[2]), "spec": {}, "status": {}}


def test_nothing_differs(tmp_path: Path) -> None:
    """Counted by etcd and read by the API server."""
    seen = rehearse(Servers(tmp_path))
    assert seen["differences"] == []
    assert (seen["objects"]["pods"], seen["read"]) == (1, {"pods": 2})


def test_what_differs_is_named(tmp_path: Path) -> None:
    """By kind, namespace and name; what only a webhook could read is no difference."""
    plane = Servers(tmp_path, [*KEYS[:2], "/registry/pods/shop/web-2", *KEYS[3:]], "cannot decrypt")
    plane.song = b"another"
    assert rehearse(plane)["differences"] == [
        "missing: pods shop/web-1",
        "not in the cluster: pods shop/web-2",
        "cannot be read: lamps.example.org: /apis/example.org/v1/lamps: cannot decrypt",
        "the canary has another content than it was given",
    ]
    assert rehearse(Servers(tmp_path, KEYS, "conversion webhook for … failed"))["differences"] == []
    (tmp_path / "manifest.json").write_text('{"canary": ""}', encoding="ascii")


def test_many_differences_are_counted() -> None:
    """Twenty are named."""
    lines = compare({f"/registry/pods/shop/web-{number}" for number in range(30)}, set())
    assert (len(lines), lines[-1]) == (21, "missing: 10 more")


@pytest.mark.parametrize("what", ["lamps/shop/desk", "lamp/shop/desk", "Lamp.example.org/shop/desk"])
def test_one_object(tmp_path: Path, what: str) -> None:
    """However it is called; without what the cluster wrote into it."""
    items = excavate(Servers(tmp_path), what)["items"]
    assert items == [{"kind": "Lamp", "metadata": {"name": "desk", "namespace": "shop"}, "spec": {}}]


def test_all_of_a_namespace(tmp_path: Path) -> None:
    """The namespace first; no events, and nothing that its owner makes again."""
    items = excavate(Servers(tmp_path), "ns/shop")["items"]
    assert [(it["kind"], it["metadata"]["name"]) for it in items] == [("Namespace", "shop"), ("Pod", "alone")]
    assert items[1] == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "alone", "namespace": "shop"},
        "spec": {},
    }


@pytest.mark.parametrize(
    ("what", "error"),
    [
        ("lamp/desk", "lamp/desk: write it as KIND/NAMESPACE/NAME"),
        ("namespace/a/b", "namespace/a/b: write it as KIND/NAME"),
        ("toaster/shop/desk", "the backup has no resource `toaster`"),
        ("lamp.example.com/shop/desk", "the backup has no resource `lamp.example.com`"),
    ],
)
def test_what_is_no_object(tmp_path: Path, what: str, error: str) -> None:
    """It is said how to write it."""
    with pytest.raises(BackupError, match=error):
        excavate(Servers(tmp_path), what)


def test_addresses_of_services_are_given_anew() -> None:
    """But a headless one stays headless."""
    given: Document = {
        "kind": "Service",
        "metadata": {},
        "spec": {"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"]},
    }
    assert clean(given)["spec"] == {}
    headless = {"kind": "Service", "metadata": {}, "spec": {"clusterIP": "None", "clusterIPs": ["None"]}}
    assert clean(headless)["spec"] == headless["spec"]


def test_an_old_state_is_never_started_where_it_could_reach_something(tmp_path: Path) -> None:
    """One route is enough to refuse."""
    routes = tmp_path / "route"
    routes.write_text("Iface\tDestination\n", encoding="ascii")
    refuse_to_reach_others(routes)
    routes.write_text("Iface\tDestination\neth0\t00000000\n", encoding="ascii")
    with pytest.raises(BackupError, match="this process can reach other machines"):
        refuse_to_reach_others(routes)
