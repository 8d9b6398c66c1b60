# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes pods: deployments, stateful sets, daemon sets, jobs, cron jobs. Whether all of their pods are well."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from . import pods
from .model import (
    NEVER,
    Cause,
    Document,
    Facts,
    condition,
    containers,
    full,
    name,
    names,
    namespace,
    ref,
    selects,
    span,
    time,
    told,
    when,
)

KINDS = ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob")
# Events of a cron job that did not start a job (pkg/controller/cronjob).
MISSED = (
    *("UnparseableSchedule", "InvalidSchedule", "UnknownTimeZone", "TooManyMissedTimes", "MissSchedule"),
    "FailedCreate",
)
# How long a controller may take to make its pods.
PATIENCE = timedelta(seconds=20)


def pods_of(facts: Facts, owner: Document) -> list[Document]:
    """Its pods, also those of its replica sets and jobs."""
    if owner["kind"] == "Deployment":
        return [pod for it in facts.owned("ReplicaSet", owner) for pod in facts.owned("Pod", it)]
    if owner["kind"] == "CronJob":
        return [pod for it in facts.owned("Job", owner) for pod in facts.owned("Pod", it)]
    return facts.owned("Pod", owner)


def worst(facts: Facts, found: list[Document]) -> list[Document]:
    """Pods in the order in which they are worth a look: not ready before ready, newest first."""
    ranks = {"not ready": 0, "deleted": 1, "ready": 2, "done": 3}
    newest = sorted(found, key=lambda it: time(it["metadata"].get("creationTimestamp")), reverse=True)
    return sorted(newest, key=lambda it: ranks[pods.state(facts, it)])


def judge(facts: Facts, owner: Document) -> list[Cause]:
    """What keeps it from having all of its pods well; the root first."""
    if owner["metadata"].get("deletionTimestamp"):
        return []
    if owner["kind"] == "Job":
        return _unique(_job(facts, owner))
    if owner["kind"] == "CronJob":
        return _unique(_cron_job(facts, owner))
    # A daemon set whose pods are refused may not even count the nodes that it wants them on.
    refused = owner["kind"] == "DaemonSet" and not owner.get("status", {}).get("desiredNumberScheduled")
    if complete(owner) and not (refused and facts.about(owner, "FailedCreate")):
        return []
    return _unique(_replicas(facts, owner))


def complete(owner: Document) -> bool:
    """Whether it has as many pods as it wants, all new and ready."""
    spec, status = owner["spec"], owner.get("status", {})
    if status.get("observedGeneration", 0) < owner["metadata"].get("generation", 0):
        return False
    if owner["kind"] == "DaemonSet":
        wanted = status.get("desiredNumberScheduled", 0)
        new = status.get("updatedNumberScheduled", 0)
        rolling = (spec.get("updateStrategy") or {}).get("type") != "OnDelete"
        return bool(status.get("numberReady", 0) >= wanted and (new >= wanted or not rolling))
    wanted = spec.get("replicas", 1)
    ready = status.get("readyReplicas", 0) >= wanted
    if owner["kind"] == "Deployment":
        ready = ready and status.get("updatedReplicas", 0) >= wanted
    return ready and condition(owner, "ReplicaFailure").get("status") != "True"


def _replicas(facts: Facts, owner: Document) -> Iterator[Cause]:
    for maker in _makers(facts, owner):
        found = pods.created(facts, maker)
        if found:
            yield found
    for pod in worst(facts, pods_of(facts, owner)):
        yield from pods.judge(facts, pod)
    yield from _itself(facts, owner)


def _makers(facts: Facts, owner: Document) -> list[Document]:
    """The object and its newest replica set: older ones make no pods."""
    sets = sorted(facts.owned("ReplicaSet", owner), key=lambda it: time(it["metadata"].get("creationTimestamp")))
    return [*sets[-1:], owner]


def _itself(facts: Facts, owner: Document) -> Iterator[Cause]:
    """What is said of it where its pods do not tell."""
    who, key, status = ref(owner), full(owner), owner.get("status", {})
    age = facts.age(owner["metadata"].get("creationTimestamp"))
    if owner["spec"].get("paused"):
        todo = f"kubectl rollout resume {who} -n {namespace(owner)}"
        yield Cause("Paused", key, f"the rollout of {who} is paused: its newest version is not started", todo)
    if status.get("observedGeneration", 0) < owner["metadata"].get("generation", 0) and age > PATIENCE:
        verdict = f"nobody has looked at the newest version of {who}: kube-controller-manager is not running"
        todo = (
            "on the masters: systemctl status kube-controller-manager; ansible-playbook … selfhosted.kubernetes.check"
        )
        yield Cause("NoController", "component/kube-controller-manager", verdict, todo)
    said = condition(owner, "Progressing")
    if said.get("reason") == "ProgressDeadlineExceeded":
        verdict = f"the rollout of {who} has made no progress for {owner['spec'].get('progressDeadlineSeconds', 600)} s"
        yield Cause(
            "NoProgress", key, verdict, "see its pods; kubectl rollout undo goes back", (str(said.get("message")),)
        )
    if owner["kind"] == "StatefulSet" and (owner["spec"].get("updateStrategy") or {}).get("type") == "OnDelete":
        new = status.get("updatedReplicas", 0)
        if new < owner["spec"].get("replicas", 1) == status.get("readyReplicas", 0):
            yield Cause(
                "OnDelete",
                key,
                f"{who} replaces pods only when they are deleted (OnDelete)",
                "delete its old pods, one by one",
            )


def _job(facts: Facts, job: Document) -> Iterator[Cause]:
    spec, who = job["spec"], ref(job)
    failed = condition(job, "Failed")
    if condition(job, "Complete").get("status") == "True":
        return
    if spec.get("suspend"):
        todo = f'kubectl patch {who} -n {namespace(job)} -p \'{{"spec":{{"suspend":false}}}}\''
        yield Cause("Suspended", full(job), f"{who} is suspended: it has no pods until it is resumed", todo)
        return
    found = pods.created(facts, job)
    own = facts.owned("Pod", job)
    if found and not own:
        yield found
    for pod in worst(facts, own):
        yield from pods.judge(facts, pod)
    if failed.get("status") == "True":
        yield from _job_failed(facts, job, failed)


def _job_failed(facts: Facts, job: Document, failed: Mapping[str, Any]) -> Iterator[Cause]:
    who, spec = ref(job), job["spec"]
    line = f"condition Failed: {failed.get('reason')}: {failed.get('message')}"
    if failed.get("reason") == "DeadlineExceeded":
        verdict = (
            f"{who} was stopped because it took longer than its activeDeadlineSeconds "
            f"({spec.get('activeDeadlineSeconds')} s)"
        )
        yield Cause("DeadlineExceeded", full(job), verdict, "raise it, or see in the log what takes so long", (line,))
        return
    tries = job.get("status", {}).get("failed", 0)
    verdict = f"{who} has given up after {tries} failed pods (backoffLimit {spec.get('backoffLimit', 6)})"
    todo = "correct what made its pods fail, then delete and create it again: a job that failed does not start anew"
    yield Cause("JobFailed", full(job), verdict, todo, (line, *_events(facts, job)))


def _cron_job(facts: Facts, cron: Document) -> Iterator[Cause]:
    who, key = ref(cron), full(cron)
    if cron["spec"].get("suspend"):
        todo = f'kubectl patch {who} -n {namespace(cron)} -p \'{{"spec":{{"suspend":false}}}}\''
        yield Cause("Suspended", key, f"{who} is suspended: it starts nothing until it is resumed", todo)
        return
    jobs = sorted(facts.owned("Job", cron), key=lambda it: time(it["metadata"].get("creationTimestamp")))
    # A job that was made since says that the reason is gone.
    last = time(jobs[-1]["metadata"].get("creationTimestamp")) if jobs else NEVER
    said = [it for it in facts.about(cron, *MISSED) if when(it) >= last]
    if said and said[0]["reason"] == "FailedCreate":
        yield Cause(
            "JobNotCreated",
            key,
            f"{who} cannot make its job: {said[0].get('message')}",
            "correct its jobTemplate",
            _events(facts, cron),
        )
    elif said:
        todo = "correct schedule, timeZone or startingDeadlineSeconds"
        yield Cause(
            "ScheduleMissed",
            key,
            f"{who} did not start as scheduled: {said[0].get('message')}",
            todo,
            _events(facts, cron),
        )
    for job in jobs[-1:]:
        yield from _job(facts, job)
    running = [name(it) for it in jobs if it.get("status", {}).get("active")]
    if running and cron["spec"].get("concurrencyPolicy") == "Forbid" and facts.about(cron, "JobAlreadyActive"):
        verdict = f"{who} starts nothing new while its last job runs ({names(running)}): concurrencyPolicy is Forbid"
        yield Cause("JobStillRuns", key, verdict, "see why that job does not end", _events(facts, cron))


def _events(facts: Facts, item: Document) -> tuple[str, ...]:
    return tuple(told(facts, it) for it in facts.about(item) if it.get("type") == "Warning")[:2]


def _unique(found: Iterator[Cause]) -> list[Cause]:
    """The same cause of many pods is one; a general word of the owner is none where a pod says what it is."""
    first: dict[tuple[str, str, str], Cause] = {}
    for it in found:
        first.setdefault((it.code, it.object if not it.container else "", it.container), it)
    return list(first.values())


def steadily(facts: Facts, owner: Document) -> str:
    """In words how an owner's pods are."""
    every = pods_of(facts, owner)
    if owner["kind"] in ("Job", "CronJob"):
        phases = [it.get("status", {}).get("phase") for it in every]
        return f"{phases.count('Running')} pods running, {phases.count('Succeeded')} done"
    ready = sum(1 for it in every if pods.state(facts, it) == "ready")
    wanted = (
        owner.get("status", {}).get("desiredNumberScheduled")
        if owner["kind"] == "DaemonSet"
        else owner["spec"].get("replicas", 1)
    )
    restarts = sum(status.get("restartCount", 0) for it in every for _spec, status, _first in containers(it))
    age = span(facts.age(owner["metadata"].get("creationTimestamp")))
    return f"{ready} of {wanted} pods ready, {restarts} restarts, {age} old"


def selected(facts: Facts, space: str, selector: dict[str, str]) -> list[Document]:
    """Pods of a namespace that have all labels."""
    return [
        it for it in facts.all("Pod", space) if selects({"matchLabels": selector}, it["metadata"].get("labels") or {})
    ]
