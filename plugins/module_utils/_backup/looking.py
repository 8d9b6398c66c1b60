# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is looked at in the throw-away plane: everything, for a drill; or one object, to get it back."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

from .common import BackupError
from .etcd import count_kinds, kind_and_name
from .plane import Plane
from .saving import CANARY, MANIFEST, OBJECTS

NAMED = 20
# What the cluster wrote into an object, and would not take back.
OWN_METADATA = (
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "managedFields",
    "ownerReferences",
    "selfLink",
)
# Addresses that somebody else may have by now.
OWN_SPEC = {"Service": ("clusterIP", "clusterIPs"), "Pod": ("nodeName",)}


def rehearse(plane: Plane) -> dict[str, Any]:
    """Serve the snapshot and compare it with what was there when it was made."""
    manifest = json.loads((plane.folder / MANIFEST).read_text(encoding="utf-8"))
    wanted = set((plane.folder / OBJECTS).read_text(encoding="utf-8").splitlines())
    found = set(plane.start_etcd())
    differences = compare(wanted, found)
    plane.start_api()
    counted, unreadable = read_all(plane)
    differences += unreadable
    if complaint := canary(plane, manifest["canary"]):
        differences.append(complaint)
    return {"objects": count_kinds(found), "read": counted, "differences": differences}


def compare(wanted: set[str], found: set[str]) -> list[str]:
    """What is missing, and what should not be there, by kind, namespace and name."""
    lines = []
    for what, keys in (("missing", wanted - found), ("not in the cluster", found - wanted)):
        named = [" ".join(kind_and_name(key)) for key in sorted(keys)]
        lines += [f"{what}: {name}" for name in named[:NAMED]]
        lines += [f"{what}: {len(named) - NAMED} more"] if len(named) > NAMED else []
    return lines


def read_all(plane: Plane) -> tuple[dict[str, int], list[str]]:
    """The API server reads (and so decrypts) every object: how many there are by kind, and what it cannot read."""
    counted, unreadable = {}, []
    for group, resource in plane.resources():
        name = resource["name"] if group == "/api/v1" else f"{resource['name']}.{group.split('/')[2]}"
        try:
            count = sum(1 for _ in plane.objects(f"{group}/{resource['name']}"))
        except BackupError as error:
            # A webhook of the cluster would have to translate these; that they are there, etcd has said.
            if "conversion webhook" not in str(error):
                unreadable.append(f"cannot be read: {name}: {error}")
        else:
            counted.update({name: count} if count else {})
    return counted, unreadable


def canary(plane: Plane, wanted: str) -> str:
    """Whether the canary has the content that it was given just before the snapshot; empty when it has."""
    if not wanted:
        return "there is no canary: no API server took one when the backup was made"
    try:
        secret = plane.get(f"/api/v1/namespaces/{CANARY['namespace']}/secrets/{CANARY['name']}")
    except BackupError as error:
        return f"the canary cannot be read: {error}"
    song = base64.b64decode(secret["data"]["song"])
    return "" if hashlib.sha256(song).hexdigest() == wanted else "the canary has another content than it was given"


def excavate(plane: Plane, what: str) -> dict[str, Any]:
    """One object, or all of a namespace that was not made by another object, as a list for `kubectl apply`."""
    kind, _, rest = what.partition("/")
    namespace, _, name = rest.rpartition("/")
    plane.start_etcd()
    plane.start_api()
    resources = plane.resources()
    group, resource = named(resources, kind)
    if resource["namespaced"] != bool(namespace):
        form = "KIND/NAMESPACE/NAME" if resource["namespaced"] else "KIND/NAME"
        raise BackupError(f"{what}: write it as {form}")
    where = f"namespaces/{namespace}/" if namespace else ""
    items = [clean(plane.get(f"{group}/{where}{resource['name']}/{name}"))]
    if resource["name"] == "namespaces":
        for group, resource in resources:
            if resource["namespaced"] and "create" in resource["verbs"] and resource["name"] != "events":
                items += within(plane, f"{group}/namespaces/{name}/{resource['name']}", group, resource)
    return {"apiVersion": "v1", "kind": "List", "items": items}


def named(resources: list[tuple[str, dict[str, Any]]], kind: str) -> tuple[str, dict[str, Any]]:
    """The resource that is meant: by its name, singular, kind or short name, perhaps with its group."""
    word, _, wanted = kind.lower().partition(".")
    for group, it in resources:
        names = {it["name"], it["singularName"], it["kind"].lower(), *it.get("shortNames", [])}
        if word in names and (not wanted or group.split("/")[2] == wanted):
            return group, it
    raise BackupError(f"the backup has no resource `{kind}`")


def within(plane: Plane, path: str, group: str, resource: dict[str, Any]) -> list[dict[str, Any]]:
    """Objects of a namespace that nobody makes again by himself."""
    version = group.split("/", 2)[2]
    return [
        clean({"apiVersion": version, "kind": resource["kind"], **it})
        for it in plane.objects(path)
        if not any(owner.get("controller") for owner in it["metadata"].get("ownerReferences", []))
    ]


def clean(thing: dict[str, Any]) -> dict[str, Any]:
    """As somebody would have written it."""
    metadata = {key: value for key, value in thing["metadata"].items() if key not in OWN_METADATA}
    cleaned = {**{key: value for key, value in thing.items() if key != "status"}, "metadata": metadata}
    for key in OWN_SPEC.get(thing["kind"], ()):
        # `None` is what makes a service headless.
        if cleaned["spec"].get(key) not in ("None", ["None"]):
            cleaned["spec"].pop(key, None)
    return cleaned


def look(folder: Path, service_network: str, programs: str, what: str) -> dict[str, Any]:
    """Called where nothing can be reached, by a user who may do nothing."""
    with Plane(folder, service_network, programs) as plane:
        return excavate(plane, what) if what else rehearse(plane)
