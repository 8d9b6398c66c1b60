# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Events on their way into the logs: each once, whatever is down meanwhile, in the words that metrics have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._logging import events

Lines = list[dict[str, str]]


def event(version: int, kind: str = "Pod", **more: Any) -> dict[str, Any]:
    """As the API has one."""
    return {
        "metadata": {"resourceVersion": str(version), "creationTimestamp": "2026-11-26T14:00:00Z"},
        "involvedObject": {"kind": kind, "namespace": "web", "name": "web-1", "fieldPath": "spec.containers{app}"},
        "message": f"message {version}",
        **more,
    }


class Api(events.Api):
    """One that has events and says what it is asked."""

    def __init__(self, items: list[dict[str, Any]], changes: list[dict[str, Any] | Exception]) -> None:
        self.items, self.changes, self.since = items, changes, ""

    def listed(self) -> tuple[list[dict[str, Any]], str]:
        """All of them."""
        return self.items, "100"

    def watched(self, version: str) -> Iterator[dict[str, Any]]:
        """What was prepared."""
        self.since = version
        for change in self.changes:
            if isinstance(change, Exception):
                raise change
            yield change


def test_words_are_those_of_metrics() -> None:
    """A pod's event names namespace, pod and container, and the node that saw it."""
    source = {"component": "kubelet", "host": "w1"}
    line = events.line(event(7, type="Warning", reason="BackOff", count=3, source=source))
    assert line == {
        "time": "2026-11-26T14:00:00Z",
        "message": "message 7",
        "log": "event",
        "namespace": "web",
        "pod": "web-1",
        "container": "app",
        "node": "w1",
        "kind": "Pod",
        "name": "web-1",
        "type": "Warning",
        "reason": "BackOff",
        "count": "3",
        "component": "kubelet",
    }


def test_of_other_kinds() -> None:
    """A node is a node and no pod; the last time counts."""
    more: dict[str, Any] = {
        "eventTime": "2026-11-26T14:00:01.000000Z",
        "series": {"count": 5, "lastObservedTime": "2026-11-26T14:09:00Z"},
        "involvedObject": {"kind": "Node", "name": "w1"},
        "message": "",
        "reason": "Rebooted",
        "reportingComponent": "kubelet",
    }
    line = events.line(event(7, **more))
    assert (line["node"], line["message"], line["count"], line["time"]) == (
        "w1",
        "Rebooted",
        "5",
        "2026-11-26T14:09:00Z",
    )
    assert not {"pod", "namespace", "container"} & set(line)


def test_the_first_time_all_are_stored(tmp_path: Path) -> None:
    """And then what changes; what is deleted says nothing."""
    stored: Lines = []
    changes: list[Any] = [
        {"type": "ADDED", "object": event(101)},
        {"type": "DELETED", "object": event(102)},
        {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "110"}}},
    ]
    api, state = Api([event(5), event(6)], changes), tmp_path / "version"
    events.follow(api, stored.extend, state)
    assert [it["message"] for it in stored] == ["message 5", "message 6", "message 101"]
    assert (api.since, state.read_text(encoding="utf-8")) == ("100", "110")


def test_it_goes_on_where_it_ended(tmp_path: Path) -> None:
    """Nothing is stored twice; what cannot be stored is asked for again."""
    state, stored = tmp_path / "version", Lines()
    state.write_text("50", encoding="utf-8")

    def full(_lines: Lines) -> None:
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        events.follow(Api([event(5)], [{"type": "ADDED", "object": event(51)}]), full, state)
    api = Api([event(5)], [{"type": "ADDED", "object": event(51)}])
    events.follow(api, stored.extend, state)
    assert api.since == "50"
    assert [it["message"] for it in stored] == ["message 51"]


def test_after_a_long_time_only_what_is_new_is_stored(tmp_path: Path) -> None:
    """The API no longer knows the version, but which events are younger."""
    state, stored = tmp_path / "version", Lines()
    state.write_text("50", encoding="utf-8")
    events.follow(Api([event(49), event(50), event(60)], [events.GoneError()]), stored.extend, state)
    assert [it["message"] for it in stored] == ["message 60"]
    assert state.read_text(encoding="utf-8") == "100"
