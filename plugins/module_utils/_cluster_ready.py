# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps a cluster from being ready, from the documents that the API server gives. No I/O here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def complaints(
    objects: Iterable[dict[str, Any]], nodes: list[str], version: str, deployments: list[str], apiservices: list[str]
) -> list[str]:
    """One line for each thing that is not ready; empty when all is well."""
    by_key: dict[tuple[str, str], dict[str, Any]] = {}
    for item in objects:
        metadata = item["metadata"]
        name = (
            f"{metadata['namespace']}/{metadata['name']}" if item["kind"] in ("Deployment", "Pod") else metadata["name"]
        )
        by_key[item["kind"], name] = item
    pods = [item for (kind, _name), item in by_key.items() if kind == "Pod"]
    lines = [_node(name, by_key.get(("Node", name)), version) for name in nodes]
    lines += [_deployment(name, by_key.get(("Deployment", name)), pods) for name in deployments]
    lines += [_apiservice(name, by_key.get(("APIService", name))) for name in apiservices]
    return [line for line in lines if line]


def _condition(item: dict[str, Any], kind: str) -> dict[str, Any]:
    return next((entry for entry in item.get("status", {}).get("conditions", []) if entry["type"] == kind), {})


def _node(name: str, node: dict[str, Any] | None, version: str) -> str:
    if node is None:
        # A kubelet makes its Node at its start only, and flanneld keeps the pod network that it had.
        earlier = "one of an earlier cluster needs reset.yml first"
        return f"node {name} is not registered: see `journalctl -u kubelet` on {name}; {earlier}"
    ready = _condition(node, "Ready")
    if ready.get("status") != "True":
        return f"node {name} is not ready: {ready.get('message', 'its kubelet has not reported yet')}"
    found = node["status"]["nodeInfo"]["kubeletVersion"]
    return "" if version in ("", found[1:]) else f"node {name} runs kubelet {found}, wanted v{version}"


def _deployment(name: str, deployment: dict[str, Any] | None, pods: list[dict[str, Any]]) -> str:
    if deployment is None:
        return f"deployment {name} does not exist: see `journalctl -u kube-addons` on a master"
    status, wanted = deployment.get("status", {}), deployment["spec"].get("replicas", 1)
    current = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    if (
        current
        and status.get("updatedReplicas", 0)
        == status.get("availableReplicas", 0)
        == status.get("replicas", 0)
        == wanted
    ):
        return ""
    labels = deployment["spec"]["selector"].get("matchLabels", {}).items()
    own = [
        pod
        for pod in pods
        if pod["metadata"]["namespace"] == name.split("/", maxsplit=1)[0]
        and labels <= pod["metadata"].get("labels", {}).items()
    ]
    reasons = [reason for reason in map(_pod, own) if reason]
    return f"deployment {name} has {status.get('availableReplicas', 0)} of {wanted} pods available" + "".join(
        f"; {reason}" for reason in reasons
    )


def _pod(pod: dict[str, Any]) -> str:
    name, status = pod["metadata"]["name"], pod.get("status", {})
    for container in status.get("initContainerStatuses", []) + status.get("containerStatuses", []):
        waiting = container.get("state", {}).get("waiting")
        if waiting:
            return f"{name}: {waiting.get('reason')} {waiting.get('message', '')}".strip()
    scheduled = _condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return f"{name}: {scheduled.get('message')}"
    ready = _condition(pod, "Ready")
    return "" if ready.get("status") == "True" else f"{name} is not ready: {ready.get('message', status.get('phase'))}"


def _apiservice(name: str, service: dict[str, Any] | None) -> str:
    if service is None:
        return f"API service {name} does not exist"
    available = _condition(service, "Available")
    return (
        ""
        if available.get("status") == "True"
        else f"API service {name} is not available: {available.get('message', 'not asked yet')}"
    )
