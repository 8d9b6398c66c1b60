# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts from recorded answers of a real API server (tests/why records them), and none on what is healthy."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._why import answer, client, model, text
from ansible_collections.selfhosted.kubernetes.tests.why.cases import CASES as ALL
from ansible_collections.selfhosted.kubernetes.tests.why.cases import CROWD, HEALTHY, Case

FOLDER = Path(__file__).parent / "recorded"
CASES = [case for case in ALL if case is not CROWD]


class Replay(client.Client):
    """Answers as they were; a question that was not asked then is an error, or may not be asked."""

    def __init__(self, answers: dict[str, Any], strict: bool) -> None:
        self.strict = strict
        self.answers, self.asked, self.namespace = answers, 0, "default"

    def get(self, path: str, accept: str = "application/json") -> Any:
        """As recorded."""
        assert accept in ("application/json", "*/*", client.METADATA)
        if self.asked >= 15:
            raise client.BudgetError(path)
        self.asked += 1
        if path not in self.answers and not self.strict:
            raise client.ForbiddenError(path)
        said = self.answers[path]
        if isinstance(said, dict) and set(said) == {"error", "text"}:
            raise getattr(client, said["error"])(said["text"])
        return said

    def together(self, questions: Iterable[Callable[[], Any]]) -> None:
        """One after the other."""
        for ask in questions:
            ask()


def replayed(case: Case, without: str = "") -> dict[str, Any]:
    """The answer to a case's question at the time when it was recorded, or if no object had a field."""
    recorded = dropped(json.loads((FOLDER / f"{case.name}.json").read_text(encoding="utf-8")), without)
    return answer.why(Replay(recorded["answers"], strict=not without), case.wanted, model.time(recorded["now"]))


def dropped(said: Any, field: str) -> Any:
    """Without a field, wherever it is."""
    if isinstance(said, dict):
        return {key: dropped(value, field) for key, value in said.items() if key != field}
    return [dropped(it, field) for it in said] if isinstance(said, list) else said


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_verdict(case: Case) -> None:
    """The right cause and object, in at most 15 questions."""
    said = replayed(case)
    case.check(said)
    assert 0 < said["requests"] <= 15


def test_there_are_as_many_cases_as_promised() -> None:
    """At least 30 faults and 20 healthy workloads; each recorded file is of a case."""
    assert sum(1 for case in CASES if case.code) >= 30
    assert len(HEALTHY) >= 20
    assert {path.stem for path in FOLDER.glob("*.json")} == {case.name for case in CASES}


@pytest.mark.parametrize("case", [case for case in CASES if case.code], ids=lambda case: case.name)
def test_every_cause_says_what_to_do(case: Case) -> None:
    """In words that are filled in, one line each."""
    for cause in (said := replayed(case))["also"] + [said["cause"]]:
        for part in (cause["verdict"], cause["todo"], cause["object"]):
            assert part
            assert "\n" not in part
            assert not re.search(r"\{[a-z_]+\}", part), part
    assert "None" not in said["verdict"]


def test_log_evidence() -> None:
    """The last lines of a program that ended are there, with the file on its node."""
    said = replayed(next(case for case in CASES if case.name == "log-read-only"))
    assert "log: OSError: [Errno 30] Read-only file system: '/var/run/app.pid'" in said["cause"]["evidence"]
    (web,) = said["where"]["containers"]
    assert said["where"]["node"].startswith("main-")
    assert re.fullmatch(r"/var/log/pods/log-read-only_web-\S+_[0-9a-f-]{36}/web/3\.log", web["log"])
    assert web["log_before"].endswith("/web/2.log")
    assert re.fullmatch(r'namespace:="log-read-only" pod:="web-\S+" container:="web"', web["log_query"])


def test_resources_by_node() -> None:
    """A small table: what is free on each node, and why it does not take the pod."""
    table = replayed(next(case for case in CASES if case.name == "cpu"))["cause"]["table"]
    assert table[0] == ["node", "free cpu", "why not"]
    rows = {row[0]: row[1:] for row in table[1:]}
    assert rows["main-1"] == ["4", "too little cpu"]
    assert rows["tainted"][1] == "taint dedicated=batch:NoSchedule, selector or affinity, too little cpu"
    assert rows["silent"][1].startswith("not ready")
    assert rows["asked for"] == ["64", ""]


def test_for_people() -> None:
    """Verdict first, then what it rests on, what to do, where it is, what changed."""
    said = replayed(next(case for case in CASES if case.name == "tag"))
    lines = text.painted(text.lines(said), colour=False).splitlines()
    assert lines[0].startswith("broken: registry registry.example has no image registry.example/shop/web:1.0")
    starts = [line.split()[0] for line in lines if not line.startswith(" ")]
    assert starts == ["broken:", "because", "next:", "where", "changed"]
    assert "\033[31mbroken" in text.painted(text.lines(said), colour=True)


@pytest.mark.parametrize(
    "field",
    [
        *("status", "conditions", "containerStatuses", "state", "lastState", "labels", "ownerReferences", "uid"),
        *("message", "reason", "restartCount", "lastTimestamp", "lastTransitionTime", "creationTimestamp", "resources"),
        *(
            "selector",
            "ports",
            "replicas",
            "generation",
            "observedGeneration",
            "managedFields",
            "taints",
            "containerID",
        ),
    ],
)
def test_objects_that_lack_something(field: str) -> None:
    """Whoever made them, and however new they are: there is an answer, and it has a verdict."""
    for case in CASES:
        if not (field == "selector" and case.target.startswith(("service/", "web"))):
            assert replayed(case, without=field)["verdict"], case.name
