# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much of what a pod asks for, and how much of it a node still has."""

from __future__ import annotations

from typing import Any

from .model import Document

UNITS = {
    "n": 1e-9,
    "u": 1e-6,
    "m": 1e-3,
    "": 1.0,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "P": 1e15,
    "E": 1e18,
    "Ki": 2.0**10,
    "Mi": 2.0**20,
    "Gi": 2.0**30,
    "Ti": 2.0**40,
    "Pi": 2.0**50,
    "Ei": 2.0**60,
}
Amounts = dict[str, float]


def quantity(text: Any) -> float:
    """A quantity as Kubernetes writes it: 250m, 64Mi, 1e3."""
    value = str(text)
    number = value.rstrip("numkKMGTPEi")
    return float(number) * UNITS[value[len(number) :]]


def shown(resource: str, amount: float) -> str:
    """For people: memory in the unit that says enough, everything else as a number."""
    if resource in ("memory", "ephemeral-storage") or resource.startswith("hugepages-"):
        return f"{amount / 2**30:.1f} GiB" if abs(amount) >= 2**30 else f"{amount / 2**20:.0f} MiB"
    return f"{amount:.2f}".rstrip("0").rstrip(".")


def requests(pod: Document) -> Amounts:
    """What the scheduler counts for a pod: the sum of its containers, or its largest init container if that is more."""
    spec = pod["spec"]
    own: Amounts = {"pods": 1.0}
    largest: Amounts = {}
    for container in spec.get("containers", []):
        _add(own, _requests(container))
    for container in spec.get("initContainers") or []:
        if container.get("restartPolicy") == "Always":
            _add(own, _requests(container))
            continue
        for resource, amount in _requests(container).items():
            largest[resource] = max(largest.get(resource, 0.0), amount)
    # A request for the whole pod stands for those of its containers.
    own.update({key: quantity(value) for key, value in ((spec.get("resources") or {}).get("requests") or {}).items()})
    result = {key: max(own.get(key, 0.0), largest.get(key, 0.0)) for key in {**own, **largest}}
    _add(result, {key: quantity(value) for key, value in (spec.get("overhead") or {}).items()})
    return result


def free(node: Document, pods: list[Document]) -> Amounts:
    """What is left of a node's allocatable amounts for one more pod."""
    left = {key: quantity(value) for key, value in node.get("status", {}).get("allocatable", {}).items()}
    for pod in pods:
        if pod["spec"].get("nodeName") == node["metadata"]["name"] and not _ended(pod):
            for resource, amount in requests(pod).items():
                if resource in left:
                    left[resource] -= amount
    return left


def _ended(pod: Document) -> bool:
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def _requests(container: Document) -> Amounts:
    resources = container.get("resources") or {}
    # The API server sets requests from limits where they are missing.
    return {key: quantity(value) for key, value in (resources.get("requests") or {}).items()}


def _add(total: Amounts, more: Amounts) -> None:
    for resource, amount in more.items():
        total[resource] = total.get(resource, 0.0) + amount
