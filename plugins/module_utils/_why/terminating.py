# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why something that is being deleted does not go."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from . import node as nodes_area
from .model import Cause, Document, Facts, Rule, apply, condition, full, name, names, ref, span, told

# After its grace period a pod may need so long until its node has cleaned up.
PATIENCE = timedelta(seconds=30)
RULES = [
    Rule(
        "StuckUnmounting",
        r"UnmountVolume|unmount|device is busy|volume",
        "{key}",
        "{who} does not go: node {node} cannot unmount its volume",
        "on {node}: journalctl -u kubelet -n 50; which process still uses it? (fuser -vm)",
    ),
    Rule(
        "StuckKilling",
        "",
        "{key}",
        "{who} does not go: node {node} cannot end its containers",
        "on {node}: journalctl -u kubelet -u containerd -n 50",
    ),
]


def judge(facts: Facts, item: Document) -> Iterator[Cause]:
    """For an object with a deletionTimestamp. A pod's is when its grace period ends."""
    asked = item["metadata"].get("deletionTimestamp")
    late = facts.age(asked)
    if item["kind"] == "Pod":
        unwell = [it for it in nodes_area.of_pod(facts, item) if it.code != "NodeNetworkNotReady"]
        if unwell and late > timedelta(0):
            yield from unwell
            return
    finalizers = item["metadata"].get("finalizers") or []
    if finalizers and late > PATIENCE:
        verdict = (
            f"{ref(item)} was deleted {span(late)} ago and stays until its finalizer is removed: {names(finalizers)}"
        )
        todo = (
            "start the controller that the finalizer belongs to; only when it is gone for good, remove the "
            "finalizer: kubectl edit"
        )
        yield Cause("Finalizer", full(item), verdict, todo)
        return
    if item["kind"] == "Pod" and late > PATIENCE:
        known = {"key": full(item), "who": ref(item), "node": str(item["spec"].get("nodeName", ""))}
        failed = facts.about(item, "FailedKillPod", "FailedUnmount", "FailedPreStopHook", "ExceededGracePeriod")
        found = apply(RULES, str(failed[0].get("message")) if failed else "", **known)
        if found:
            yield found.seen(*(told(facts, it) for it in failed[:2]), f"its grace period ended {span(late)} ago")


def namespace_stuck(facts: Facts, space: Document) -> Iterator[Cause]:
    """A namespace says itself what keeps it."""
    if not space["metadata"].get("deletionTimestamp") or facts.age(space["metadata"]["deletionTimestamp"]) < PATIENCE:
        return
    lines = []
    for kind in ("NamespaceFinalizersRemaining", "NamespaceContentRemaining", "NamespaceDeletionDiscoveryFailure"):
        said = condition(space, kind)
        if said.get("status") == "True":
            lines.append(str(said.get("message")))
    verdict = f"namespace {name(space)} was deleted and does not go: " + (
        lines[0] if lines else "something in it stays"
    )
    todo = "remove what the message names; an API service that does not answer: kubectl get apiservice"
    yield Cause("NamespaceTerminating", ref(space), verdict, todo, tuple(lines))
