# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be asked to judge one object: in a few rounds, each of which asks everything at the same time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

from . import pods, service, volumes, workload
from .client import METADATA, BudgetError, Client, ForbiddenError, NotFoundError, WhyError
from .model import Document, Facts, containers, controller, name, namespace, time
from .target import GUESSED, KINDS, Target, namespaced, nearest, path

LINES = 20
Question = Callable[[], None]


class Fetch:
    """Fills facts from a client."""

    def __init__(self, client: Client, facts: Facts) -> None:
        self.client, self.facts = client, facts

    def one(self, kind: str, space: str, named: str, accept: str = "application/json") -> None:
        """An object; that it is not there is worth knowing, too."""
        try:
            self.facts.add(kind, self.client.get(path(kind, space, quote(named)), accept))
        except NotFoundError:
            self.facts.missing.add((kind, space, named))

    def many(self, kind: str, space: str = "", **query: str) -> None:
        """All of a kind, or those that a selector takes."""
        space = space if namespaced(kind) else ""
        found = self.client.get(path(kind, space) + (f"?{urlencode(query)}" if query else ""))
        self.facts.add(kind, *found.get("items") or [])
        if not query:
            self.facts.complete.add((kind, space))

    def events(self, kind: str, space: str, named: str) -> None:
        """What happened to an object; that of nodes is told in the namespace default."""
        selector = f"involvedObject.kind={kind},involvedObject.name={named}"
        query = urlencode({"fieldSelector": selector, "limit": 300})
        found = self.client.get(f"{path('Event', space or 'default')}?{query}")
        self.facts.add_events(found.get("items") or [])

    def log(self, pod: Document, container: str, previous: bool) -> None:
        """The last lines of a container; there may be none any more."""
        query = urlencode({"container": container, "tailLines": LINES, **({"previous": "true"} if previous else {})})
        where = path("Pod", namespace(pod), name(pod))
        try:
            text = self.client.get(f"{where}/log?{query}", "*/*")
        except BudgetError:
            raise
        except WhyError as error:
            self.facts.unknown.append(f"the log of container {container}: {error}")
            return
        lines = [line.strip()[:300] for line in str(text).splitlines() if line.strip()]
        self.facts.logs[namespace(pod), name(pod), container] = lines

    def may(self, ask: Callable[..., None], *arguments: Any, **query: str) -> Question:
        """A question that helps; who may not ask it gets an answer without."""

        def question() -> None:
            try:
                ask(*arguments, **query)
            except (ForbiddenError, NotFoundError, BudgetError) as error:
                self.facts.unknown.append(str(error))

        return question

    def must(self, ask: Callable[..., None], *arguments: Any, **query: str) -> Question:
        """A question without which there is no answer."""
        return lambda: ask(*arguments, **query)


def target(fetch: Fetch, wanted: Target) -> Document:
    """The object that is asked about with all that judging it takes."""
    item = _find(fetch, wanted)
    rounds: dict[str, Callable[[Fetch, Document], None]] = {
        "Pod": _pod,
        "Service": _service,
        "PersistentVolumeClaim": _claim,
        "Node": _node,
    }
    rounds.get(item["kind"], _workload)(fetch, item)
    return item


def _find(fetch: Fetch, wanted: Target) -> Document:
    kind, space = wanted.kind or "Pod", wanted.namespace if wanted.kind != "Node" else ""
    fetch.client.together(
        [fetch.must(fetch.one, kind, space, wanted.name), fetch.may(fetch.events, kind, space, wanted.name)]
    )
    item = fetch.facts.get(kind, space, wanted.name)
    if item is not None:
        return item
    guessed = [] if wanted.kind else list(GUESSED)
    questions = [fetch.may(fetch.one, it, space, wanted.name) for it in guessed]
    fetch.client.together([*questions, fetch.may(fetch.many, kind, space)])
    found = [it for it in (fetch.facts.get(it, space, wanted.name) for it in guessed) if it]
    if len(found) > 1:
        every = ", ".join(f"{it['kind'].lower()}/{wanted.name}" for it in found)
        raise WhyError(f"{wanted.name} can be {every}: say which")
    there = [name(it) for it in fetch.facts.all(kind, space)]
    if not found:
        # An owner's name is what people remember of a pod's.
        raise NotFoundError(
            f"there is no {wanted.shown}{nearest(wanted.name, there)}{_no_namespace(fetch, space, there)}"
        )
    fetch.client.together([fetch.may(fetch.events, found[0]["kind"], space, wanted.name)])
    return found[0]


def _no_namespace(fetch: Fetch, space: str, there: list[str]) -> str:
    if there or not space:
        return ""
    fetch.client.together([fetch.may(fetch.many, "Namespace")])
    if not fetch.facts.lacks("Namespace", "", space):
        return ""
    return f"; there is no namespace {space} either{nearest(space, [name(it) for it in fetch.facts.all('Namespace')])}"


def _pod(fetch: Fetch, pod: Document, siblings: bool = True) -> None:
    """Owner, node, and what the part of its way where it is stuck is about."""
    space, owner, facts = namespace(pod), controller(pod), fetch.facts
    questions = [*_place(fetch, pod), *_stuck(fetch, pod)]
    labels = {key: value for key, value in (pod["metadata"].get("labels") or {}).items() if key != "pod-template-hash"}
    if siblings and owner.get("kind") == "ReplicaSet":
        # All versions of its deployment, so that it can be said what changed.
        questions.append(fetch.may(fetch.many, "ReplicaSet", space, labelSelector=_selector(labels)))
    elif siblings and owner.get("kind") in KINDS:
        questions.append(fetch.may(fetch.one, owner["kind"], space, owner["name"]))
    fetch.client.together(questions)
    above = pods.owner_of(facts, pod)
    top = controller(above) if above else {}
    if siblings and top.get("kind") in KINDS:
        fetch.client.together([fetch.may(fetch.one, top["kind"], space, top["name"])])


def _place(fetch: Fetch, pod: Document) -> list[Question]:
    node = str(pod["spec"].get("nodeName") or "")
    if node:
        return [
            fetch.may(fetch.one, "Node", "", node),
            fetch.may(fetch.one, "Lease", "kube-node-lease", node),
            fetch.may(fetch.events, "Node", "", node),
        ]
    ended = "spec.nodeName!=,status.phase!=Succeeded,status.phase!=Failed"
    questions = [fetch.may(fetch.many, "Node"), fetch.may(fetch.many, "Pod", "", fieldSelector=ended)]
    if volumes.claims(pod):
        questions += [fetch.may(fetch.many, it, namespace(pod)) for it in ("PersistentVolumeClaim", "StorageClass")]
        questions += [
            fetch.may(fetch.events, "PersistentVolumeClaim", namespace(pod), it) for it in volumes.claims(pod)[:2]
        ]
    return questions


def _stuck(fetch: Fetch, pod: Document) -> list[Question]:
    """Logs of containers that ended, and whether pull secrets are there (nobody needs what is in them)."""
    questions: list[Question] = []
    pulling = False
    for spec, status, first in containers(pod):
        state = status.get("state") or {}
        reason = (state.get("waiting") or {}).get("reason", "")
        pulling = pulling or "Image" in reason
        running = "running" in state
        if (state.get("terminated") or {}).get("exitCode"):
            questions.append(fetch.may(fetch.log, pod, spec["name"], False))
        elif status.get("lastState") and not (running and status.get("ready") and status.get("restartCount", 0) < 2):
            questions.append(fetch.may(fetch.log, pod, spec["name"], True))
        elif running and (first or not status.get("ready")):
            questions.append(fetch.may(fetch.log, pod, spec["name"], False))
    if pulling:
        secrets = [it["name"] for it in pod["spec"].get("imagePullSecrets") or [] if it.get("name")]
        questions += [fetch.may(fetch.one, "Secret", namespace(pod), it, METADATA) for it in secrets[:2]]
    return questions[:4]


def _workload(fetch: Fetch, owner: Document) -> None:
    space, facts = namespace(owner), fetch.facts
    selector = (owner["spec"].get("selector") or {}).get("matchLabels") or {}
    if owner["kind"] == "CronJob":
        fetch.client.together([fetch.may(fetch.many, "Job", space)])
        jobs = sorted(facts.owned("Job", owner), key=lambda it: time(it["metadata"].get("creationTimestamp")))
        selector = (jobs[-1]["spec"].get("selector") or {}).get("matchLabels") or {} if jobs else {}
        if jobs:
            fetch.client.together([fetch.may(fetch.events, "Job", space, name(jobs[-1]))])
        if not selector:
            return
    questions = [fetch.may(fetch.many, "Pod", space, labelSelector=_selector(selector))]
    if owner["kind"] == "Deployment":
        questions.append(fetch.may(fetch.many, "ReplicaSet", space, labelSelector=_selector(selector)))
    fetch.client.together(questions)
    _worst(fetch, workload.pods_of(facts, owner), _newest(facts, owner))


def _newest(facts: Facts, owner: Document) -> list[Document]:
    sets = sorted(facts.owned("ReplicaSet", owner), key=lambda it: time(it["metadata"].get("creationTimestamp")))
    return sets[-1:]


def _worst(fetch: Fetch, found: list[Document], others: list[Document]) -> None:
    """Details of the one pod that is worth a look, and events of who makes pods."""
    questions = [fetch.may(fetch.events, it["kind"], namespace(it), name(it)) for it in others]
    first = workload.worst(fetch.facts, found)[:1]
    questions += [fetch.may(fetch.events, "Pod", namespace(it), name(it)) for it in first]
    fetch.client.together(questions)
    for pod in first:
        _pod(fetch, pod, siblings=False)


def _service(fetch: Fetch, item: Document) -> None:
    space, facts = namespace(item), fetch.facts
    slices = {"labelSelector": f"kubernetes.io/service-name={name(item)}"}
    fetch.client.together(
        [
            *(fetch.may(fetch.many, it, space) for it in ("Pod", "Deployment", "StatefulSet", "DaemonSet")),
            fetch.may(fetch.many, "EndpointSlice", space, **slices),
            fetch.may(fetch.one, "Deployment", *service.DNS),
        ]
    )
    own = workload.selected(facts, space, item["spec"].get("selector") or {}) if item["spec"].get("selector") else []
    ready = [it for it in own if pods.state(facts, it) == "ready"]
    if not ready:
        _worst(fetch, own, [])
        return
    for port in service.undeclared(item, ready[0])[:1]:
        fetch.client.together([fetch.may(_try, fetch, item, ready[0], port)])


def _try(fetch: Fetch, item: Document, pod: Document, port: int) -> None:
    """Have the API server connect to a port of a pod: it answers 502 or 503 with the reason where nothing listens."""
    try:
        fetch.client.get(f"{path('Pod', namespace(pod), name(pod))}:{port}/proxy/", "*/*")
    except ForbiddenError:
        return
    except WhyError as error:
        if "connection refused" in str(error):
            fetch.facts.objects["Refused", namespace(item), f"{name(pod)}:{port}"] = {}


def _claim(fetch: Fetch, claim: Document) -> None:
    fetch.client.together([fetch.may(fetch.many, it, namespace(claim)) for it in ("StorageClass", "Pod")])


def _node(fetch: Fetch, node: Document) -> None:
    fetch.client.together(
        [
            fetch.may(fetch.one, "Lease", "kube-node-lease", name(node)),
            fetch.may(fetch.many, "Pod", "", fieldSelector=f"spec.nodeName={name(node)}"),
        ]
    )


def _selector(labels: dict[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in labels.items())
