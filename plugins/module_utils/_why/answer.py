# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The answer about one object: a verdict in a sentence, and all that it rests on, as a document."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta, timezone
from typing import Any

from . import fetch, node, pods, service, terminating, volumes, where, workload
from .client import Client
from .model import Cause, Document, Facts, condition, containers, name, namespace, ref, span, told
from .target import Target

# So long a pod may take from one step to the next before that nothing is said is worth a look.
PATIENCE = timedelta(seconds=60)


def why(client: Client, wanted: Target, now: datetime | None = None) -> dict[str, Any]:
    """Ask, judge, and say."""
    facts = Facts(now or datetime.now(timezone.utc))
    item = fetch.target(fetch.Fetch(client, facts), wanted)
    return {**document(facts, item), "requests": client.asked}


def judge(facts: Facts, item: Document) -> list[Cause]:
    """What is wrong with an object of any kind that can be asked for."""
    if item["kind"] == "Pod":
        return pods.judge(facts, item)
    if item["kind"] == "Node":
        return list(node.judge(facts, item, cordoned=True))
    if item["metadata"].get("deletionTimestamp") and item["kind"] != "PersistentVolumeClaim":
        return list(terminating.judge(facts, item))
    if item["kind"] == "Service":
        return service.judge(facts, item)
    if item["kind"] == "PersistentVolumeClaim":
        return list(volumes.judge(facts, item))
    return workload.judge(facts, item)


def document(facts: Facts, item: Document) -> dict[str, Any]:
    """For programs; text.py makes of it what people read."""
    found = judge(facts, item)
    state, verdict = _state(facts, item, found)
    if state == "unclear":
        lines = tuple(told(facts, it) for it in facts.about(item) if it.get("type") == "Warning")[:3]
        todo = f"kubectl describe {ref(item)}" + (f" -n {namespace(item)}" if namespace(item) else "")
        found = [Cause("Unclear", ref(item), verdict, todo, lines)]
    first = found[0] if found else None
    pod = _pod(facts, item, first)
    return {
        "target": {"kind": item["kind"], "namespace": namespace(item), "name": name(item)},
        "state": state,
        "verdict": verdict,
        "cause": plain(first),
        "also": [plain(it) for it in found[1:4]],
        "where": where.pod(pod) if pod else {},
        "changes": where.changes(facts, item, pod),
        "unknown": list(dict.fromkeys(facts.unknown)),
    }


def plain(cause: Cause | None) -> dict[str, Any]:
    """A cause as a dictionary, empty without one."""
    if cause is None:
        return {}
    parts = asdict(cause)
    return {**parts, "evidence": list(cause.evidence), "table": [list(row) for row in cause.table]}


def _state(facts: Facts, item: Document, found: list[Cause]) -> tuple[str, str]:
    if found:
        return "broken", sentence(found[0].verdict)
    if item["kind"] == "Pod":
        return _pod_state(facts, item)
    if item["kind"] in workload.KINDS:
        return _workload_state(facts, item)
    if item["kind"] == "PersistentVolumeClaim" and item.get("status", {}).get("phase") != "Bound":
        return "healthy", sentence(f"{ref(item)} gets its volume when a pod uses it (WaitForFirstConsumer)")
    if item["kind"] == "Service" and item["spec"].get("selector"):
        own = workload.selected(facts, namespace(item), item["spec"]["selector"])
        ready = sum(1 for it in own if pods.state(facts, it) == "ready")
        return "healthy", sentence(f"{ref(item)} is well: {ready} of {len(own)} pods behind it are ready")
    return "healthy", sentence(f"{ref(item)} is well")


def _pod_state(facts: Facts, item: Document) -> tuple[str, str]:
    how, on = pods.state(facts, item), item["spec"].get("nodeName") or ""
    if how == "done":
        return "healthy", sentence(f"{ref(item)} has done its work, on node {on}")
    if how == "ready":
        since = span(facts.age(condition(item, "Ready").get("lastTransitionTime")))
        return "healthy", sentence(
            f"{ref(item)} runs on node {on} and has been ready for {since}{_restarts(facts, item)}"
        )
    if how == "deleted":
        return "starting", sentence(f"{ref(item)} is ending")
    last = facts.about(item)[:1]
    doing = f": {last[0].get('message')}" if last else ""
    waited = facts.age(_last_step(item))
    if waited < PATIENCE or (last and last[0].get("reason") == "Pulling"):
        return "starting", sentence(f"{ref(item)} has been starting for {span(waited)}{doing}")
    return "unclear", sentence(f"{ref(item)} has not been ready for {span(waited)}, and nothing says why{doing}")


def _last_step(item: Document) -> str:
    """When something of it changed last."""
    stamps = [str(it.get("lastTransitionTime") or "") for it in item.get("status", {}).get("conditions") or []]
    stamps += [
        str(part.get("startedAt") or part.get("finishedAt") or "")
        for _spec, status, _first in containers(item)
        for part in (status.get("state") or {}).values()
    ]
    return max([str(item["metadata"].get("creationTimestamp") or ""), *stamps])


def _restarts(facts: Facts, item: Document) -> str:
    """What a pod that is well now has been through."""
    for spec, status, _first in containers(item):
        ended = (status.get("lastState") or {}).get("terminated")
        if status.get("restartCount") and ended:
            code = f"exit code {ended.get('exitCode')} ({ended.get('reason')})"
            return (
                f"; {spec['name']} was restarted {status['restartCount']} times, last "
                f"{span(facts.age(ended.get('finishedAt')))} ago after {code}"
            )
    return ""


def _workload_state(facts: Facts, item: Document) -> tuple[str, str]:
    how = workload.steadily(facts, item)
    if item["metadata"].get("deletionTimestamp"):
        return "starting", sentence(f"{ref(item)} is being deleted")
    if item["kind"] in ("Job", "CronJob"):
        return "healthy", sentence(f"{ref(item)} is well: {how}")
    if workload.complete(item):
        idle = "; it is scaled to 0" if item["spec"].get("replicas") == 0 else ""
        return "healthy", sentence(f"{ref(item)} is well: {how}{idle}")
    stamps = [_last_step(it) for it in workload.pods_of(facts, item)]
    stamps += [str(it.get("lastUpdateTime") or "") for it in item.get("status", {}).get("conditions") or []]
    if facts.age(max([str(item["metadata"].get("creationTimestamp") or ""), *stamps])) < PATIENCE:
        return "starting", sentence(f"{ref(item)} is on its way: {how}")
    return "unclear", sentence(f"{ref(item)} is not complete ({how}), and nothing says why")


def _pod(facts: Facts, item: Document, first: Cause | None) -> Document | None:
    """The pod whose place and log are of use: itself, or the worst of it."""
    if item["kind"] == "Pod":
        return item
    if item["kind"] == "Service":
        selector = item["spec"].get("selector")
        own = workload.selected(facts, namespace(item), selector) if selector else []
    elif item["kind"] in workload.KINDS:
        own = workload.pods_of(facts, item)
    else:
        own = []
    named = [it for it in own if first and first.object.endswith(f"/{name(it)}")]
    return next(iter([*named, *workload.worst(facts, own)]), None)


def sentence(text: str) -> str:
    """In one line, of a length that can be read."""
    line = " ".join(text.split())
    return line if len(line) <= 600 else line[:597] + "..."
