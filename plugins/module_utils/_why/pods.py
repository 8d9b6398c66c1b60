# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pod: in which part of its way it is, and so whose rules say why it does not get on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

from . import config, creation, image, node, probes, process, sandbox, scheduling, terminating
from .model import (
    NEVER,
    Cause,
    Document,
    Facts,
    Rule,
    apply,
    condition,
    containers,
    controller,
    full,
    namespace,
    ref,
    span,
    time,
    told,
    when,
)

# An init container that runs so long is worth a word.
PATIENCE = timedelta(seconds=60)
# What controllers make for an owner.
MADE = ("Pod", "ReplicaSet")
# A pod that ended without being restarted: status.reason (pkg/kubelet, pkg/controller).
ENDED = [
    Rule(
        "StorageLimit",
        r"^Evicted (?P<why>Usage of EmptyDir volume .*|Pod ephemeral local storage usage .*|Container \S+ exceeded its "
        r"local ephemeral storage .*)",
        "{key}",
        "{who} was ended because it wrote more than it may: {why}",
        "raise sizeLimit of the emptyDir, or limits of ephemeral-storage; or have it write less",
    ),
    Rule(
        "Evicted",
        r"^Evicted (?P<why>.*)",
        "node/{node}",
        "{who} was evicted from node {node}: {why}",
        "give its containers requests that fit what they use; an evicted pod is started elsewhere by its owner",
    ),
    Rule(
        "DeadlineExceeded",
        r"^DeadlineExceeded",
        "{key}",
        "{who} ran longer than its activeDeadlineSeconds",
        "raise it, or see what takes so long: its log",
    ),
    Rule(
        "NodeShutdown",
        r"^(NodeShutdown|Terminated|Shutdown)",
        "node/{node}",
        "{who} was ended because node {node} shut down",
        "its owner makes a new one; delete this one",
    ),
    Rule(
        "NodeGone",
        r"^NodeLost",
        "node/{node}",
        "node {node}, on which {who} ran, is lost",
        "see the node: kubectl why node/{node}",
    ),
    Rule(
        "NodeRefuses",
        r"^(OutOf|UnexpectedAdmissionError|NodeAffinity|NodePorts|TopologyAffinityError|PodFeatureUnsupported|"
        r"SysctlForbidden|AppArmor)\S* ?(?P<why>.*)",
        "{key}",
        "node {node} did not accept {who}: {why}",
        "its owner makes a new one; if that repeats, the text says what to change",
    ),
    Rule(
        "Preempted",
        r"^Preempting",
        "{key}",
        "{who} had to make room on node {node} for a pod of higher priority",
        "give it a higher priorityClassName, or add a node",
    ),
]


def state(facts: Facts, pod: Document) -> str:
    """In one word how a pod is: done, deleted, ready, or not."""
    if pod["metadata"].get("deletionTimestamp"):
        return "deleted"
    if pod.get("status", {}).get("phase") == "Succeeded":
        return "done"
    if condition(pod, "Ready").get("status") != "True":
        return "not ready"
    unsteady = any(process.unsteady(facts, status) for _spec, status, _first in containers(pod))
    return "not ready" if unsteady else "ready"


def judge(facts: Facts, pod: Document) -> list[Cause]:
    """What is wrong, the root first; nothing for a pod that is well, or still has time."""
    how = state(facts, pod)
    if how == "deleted":
        return list(terminating.judge(facts, pod))
    if how in ("done", "ready"):
        return []
    if pod.get("status", {}).get("phase") == "Failed":
        return list(_ended(facts, pod))
    if not pod["spec"].get("nodeName"):
        return list(scheduling.judge(facts, pod))
    # What a node that is not well says about its pods is old.
    found = [*node.of_pod(facts, pod)]
    return found or [*_containers(facts, pod)] or [*probes.gates(pod)]


def _ended(facts: Facts, pod: Document) -> Iterator[Cause]:
    status = pod.get("status", {})
    text = f"{status.get('reason') or ''} {status.get('message') or ''}".strip()
    known = {"node": str(pod["spec"].get("nodeName", "")), "who": ref(pod), "key": full(pod)}
    found = apply(ENDED, text, **known)
    if found:
        yield found.seen(f"status: {text}")
        return
    for spec, own, _first in containers(pod):
        ended = process.ended_of(own) or {}
        if ended.get("exitCode"):
            yield from process.judge(facts, pod, spec, own)
            return
    if text:
        yield Cause("Failed", full(pod), f"{ref(pod)} failed: {text}", "the text says why")


def _containers(facts: Facts, pod: Document) -> Iterator[Cause]:
    every = list(containers(pod))
    if not any(status.get("containerID") for _spec, status, _first in every):
        started = [
            it
            for it in every
            if ((it[1].get("state") or {}).get("waiting") or {}).get("reason")
            not in (None, "ContainerCreating", "PodInitializing")
        ]
        if not started:
            yield from sandbox.judge(facts, pod)
            return
    for spec, status, first in every:
        if _well(status, first):
            continue
        found = list(_container(facts, pod, spec, status, first))
        who = f"container {spec['name']}"
        yield from (replace(it, verdict=it.verdict.replace(who, f"init {who}", 1)) if first else it for it in found)
        if first:
            # The others do not start before it has ended.
            return


def _well(status: Document, first: bool) -> bool:
    if first:
        return ((status.get("state") or {}).get("terminated") or {}).get("exitCode") == 0
    return bool(status.get("ready")) and not status.get("restartCount")


def _container(facts: Facts, pod: Document, spec: Document, status: Document, first: bool) -> Iterator[Cause]:
    now = status.get("state") or {}
    reason = (now.get("waiting") or {}).get("reason", "")
    if reason in image.REASONS:
        yield from image.judge(facts, pod, spec, status)
    elif reason in config.REASONS:
        yield from config.judge(pod, spec, status)
    elif reason in process.REASONS or now.get("terminated") or process.unsteady(facts, status):
        killer = probes.killing(facts, pod, spec)
        ended = process.ended_of(status) or {}
        if killer and ended.get("reason") != "OOMKilled":
            yield killer
        else:
            yield from process.judge(facts, pod, spec, status)
    elif now.get("running") and first:
        since = facts.age((now["running"] or {}).get("startedAt"))
        if since > PATIENCE:
            who = spec["name"]
            verdict = (
                f"{ref(pod)} waits for its container {who}, which has run for {span(since)}; the others "
                "start when it ends"
            )
            todo = f"kubectl logs {pod['metadata']['name']} -n {namespace(pod)} -c {who} says what it waits for"
            lines = facts.logs.get((namespace(pod), pod["metadata"]["name"], who), [])
            yield Cause(
                "InitContainerRuns",
                full(pod),
                verdict,
                todo,
                tuple(f"log: {line}" for line in lines[-5:]),
                container=who,
            )
    elif now.get("running") and not status.get("ready"):
        yield from probes.judge(facts, pod, spec, status)


def created(facts: Facts, owner: Document) -> Cause | None:
    """Why an owner's pods are not even made, None where they are."""
    said = condition(owner, "ReplicaFailure")
    if said.get("status") == "True":
        message = str(said.get("message"))
        return creation.judge(owner, message, f"condition ReplicaFailure of {ref(owner)}: {message}")
    # An event is kept when its reason is gone: what was made after it says so, and replica sets have the condition.
    made = [time(it["metadata"].get("creationTimestamp")) for kind in MADE for it in facts.owned(kind, owner)]
    reasons = ("ReplicaSetCreateError",) if owner["kind"] in ("Deployment", "ReplicaSet") else ("FailedCreate",)
    failed = [it for it in facts.about(owner, *reasons) if when(it) >= max(made, default=NEVER)]
    return creation.judge(owner, str(failed[0].get("message")), told(facts, failed[0])) if failed else None


def owner_of(facts: Facts, item: Document) -> Document | None:
    """The object that made it, None where it is unknown."""
    owner = controller(item)
    return facts.get(str(owner.get("kind")), namespace(item), str(owner.get("name"))) if owner else None


def owners(facts: Facts, item: Document) -> list[Document]:
    """From the one that made it up to the one that a person made."""
    found: list[Document] = []
    above = owner_of(facts, item)
    while above is not None and above not in found:
        found.append(above)
        above = owner_of(facts, above)
    return found
