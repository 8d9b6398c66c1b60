# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known of a cluster, and what was found wrong: plain dictionaries go in, causes come out. No I/O here."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any

Document = dict[str, Any]
Key = tuple[str, str, str]
NEVER = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Cause:
    """One root cause. `code` and `object` are for programs and stay the same; causes with both the same are one."""

    code: str
    object: str
    verdict: str
    todo: str
    evidence: tuple[str, ...] = ()
    table: tuple[tuple[str, ...], ...] = ()
    # Its container, where it is about one.
    container: str = ""

    def seen(self, *lines: str) -> Cause:
        """With more evidence, which comes first."""
        return replace(self, evidence=tuple(line for line in dict.fromkeys([*lines, *self.evidence]) if line))


@dataclass(frozen=True)
class Rule:
    """A cause that a text tells. Named groups of `pattern` and what the caller knows fill `{name}` in the others."""

    code: str
    pattern: str
    object: str
    verdict: str
    todo: str


def apply(rules: Iterable[Rule], text: str, **known: str) -> Cause | None:
    """The first rule whose pattern is in the text."""
    for rule in rules:
        found = re.search(rule.pattern, text, re.DOTALL)
        if found:
            words = {**known, **{name: value or "" for name, value in found.groupdict().items()}, "text": text}
            about, verdict, todo = (part.format_map(words) for part in (rule.object, rule.verdict, rule.todo))
            return Cause(rule.code, about, verdict, todo, container=known.get("container", ""))
    return None


@dataclass
class Facts:
    """Objects as the API server gives them, events by what they are about, and what is surely not there."""

    now: datetime
    objects: dict[Key, Document] = field(default_factory=dict)
    events: dict[Key, list[Document]] = field(default_factory=dict)
    missing: set[Key] = field(default_factory=set)
    # Kinds (with a namespace, or with "" for all) of which every object is here.
    complete: set[tuple[str, str]] = field(default_factory=set)
    # Last lines by namespace, pod and container.
    logs: dict[Key, list[str]] = field(default_factory=dict)
    # What could not be asked, and so may be the cause.
    unknown: list[str] = field(default_factory=list)

    def add(self, kind: str, *items: Document) -> None:
        """Objects of a kind; a list's items do not say it themselves."""
        for item in items:
            self.objects[kind, namespace(item), name(item)] = {**item, "kind": kind}

    def add_events(self, items: Iterable[Document]) -> None:
        """Newest first."""
        for item in items:
            about = item["involvedObject"]
            key = (about.get("kind", ""), about.get("namespace", ""), about.get("name", ""))
            self.events.setdefault(key, []).append(item)
        for found in self.events.values():
            found.sort(key=when, reverse=True)

    def get(self, kind: str, space: str, named: str) -> Document | None:
        """An object, None where it is not known."""
        return self.objects.get((kind, space, named))

    def lacks(self, kind: str, space: str, named: str) -> bool:
        """Whether it is known not to be there."""
        if (kind, space, named) in self.objects:
            return False
        return (kind, space, named) in self.missing or bool({(kind, space), (kind, "")} & self.complete)

    def all(self, kind: str, space: str | None = None) -> list[Document]:
        """Those of a kind that are known."""
        return [it for (of, where, _), it in self.objects.items() if of == kind and space in (None, where)]

    def about(self, item: Document, *reasons: str) -> list[Document]:
        """Events of an object, newest first; those of an earlier one of the same name are left out."""
        found = self.events.get((item["kind"], namespace(item), name(item)), [])
        # A node's events carry its name as uid.
        uids = {item["metadata"].get("uid"), name(item), None, ""}
        return [
            it
            for it in found
            if (not reasons or it.get("reason") in reasons) and it["involvedObject"].get("uid") in uids
        ]

    def owned(self, kind: str, owner: Document) -> list[Document]:
        """Objects of a kind whose controller an object is."""
        uid = owner["metadata"].get("uid")
        return [it for it in self.all(kind, namespace(owner)) if controller(it).get("uid") == uid]

    def age(self, stamp: str | None) -> timedelta:
        """How long ago."""
        return self.now - time(stamp)


def name(item: Document) -> str:
    """The object's name."""
    return str(item["metadata"]["name"])


def namespace(item: Document) -> str:
    """The object's namespace, empty where its kind has none."""
    return str(item["metadata"].get("namespace") or "")


def ref(item: Document) -> str:
    """The object as people and kubectl call it: kind/name."""
    return f"{item['kind'].lower()}/{name(item)}"


def full(item: Document) -> str:
    """kind/namespace/name, which names one object of a cluster."""
    return "/".join(part for part in (item["kind"].lower(), namespace(item), name(item)) if part)


def controller(item: Document) -> Mapping[str, Any]:
    """The owner that made the object and takes care of it, empty without one."""
    return next((it for it in item["metadata"].get("ownerReferences") or [] if it.get("controller")), {})


def condition(item: Document, kind: str) -> Mapping[str, Any]:
    """A condition of the status, empty where it is not set."""
    return next((it for it in item.get("status", {}).get("conditions") or [] if it.get("type") == kind), {})


def time(stamp: str | None) -> datetime:
    """A time as Kubernetes writes it, with or without a fraction."""
    if not stamp:
        return NEVER
    return datetime.strptime(stamp[:19], "%Y-%m-%dT%H:%M:%S").replace(tzinfo=timezone.utc)


def when(event: Document) -> datetime:
    """When an event was seen last."""
    series = event.get("series") or {}
    stamps = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    created = event.get("metadata", {}).get("creationTimestamp")
    return time(next((it for it in stamps if it), created))


def span(length: timedelta) -> str:
    """A time span in the unit that says enough."""
    seconds = max(0, int(length.total_seconds()))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def told(facts: Facts, event: Document) -> str:
    """An event in one line."""
    count = (event.get("series") or {}).get("count") or event.get("count") or 1
    times = f", {count} times" if count > 1 else ""
    text = " ".join(str(event.get("message", "")).split())
    return f"event {event.get('reason')} ({span(facts.now - when(event))} ago{times}): {text}"


def selects(selector: Mapping[str, Any] | None, labels: Mapping[str, str]) -> bool:
    """Whether a label selector with matchLabels and matchExpressions takes an object with these labels."""
    if selector is None:
        return False
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    for it in selector.get("matchExpressions") or []:
        key, values = it["key"], it.get("values") or []
        matches = {
            "In": labels.get(key) in values,
            "NotIn": labels.get(key) not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }
        if not matches.get(it["operator"], True):
            return False
    return True


def containers(pod: Document) -> Iterator[tuple[Document, Document, bool]]:
    """Each container's spec and status (empty before there is one), and whether it has to end before others start.

    In the order in which the kubelet starts them.
    """
    for field_name, statuses in (("initContainers", "initContainerStatuses"), ("containers", "containerStatuses")):
        found = {it["name"]: it for it in pod.get("status", {}).get(statuses) or []}
        for it in pod["spec"].get(field_name) or []:
            first = field_name == "initContainers" and it.get("restartPolicy") != "Always"
            yield it, found.get(it["name"], {}), first


def names(found: Iterable[str], most: int = 5) -> str:
    """Names in a line that stays readable with hundreds of them."""
    every = list(found)
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")
