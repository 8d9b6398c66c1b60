# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All areas together, as a document for programs and as a table for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from . import api, hosts
from .certificates import certificates
from .etcd import etcd
from .model import FAILURE, WARNING, Area, Finding, Seen, names
from .storage import storage

WORDS = {FAILURE: "FAIL", WARNING: "warn", "ok": "ok", "unknown": "?"}


def judge(seen: Seen, pki_dir: Path | None, now: datetime) -> list[Area]:
    """Every area; what is closest to the ground first, since it explains what is above it."""
    parts: dict[str, Callable[[Seen], Area]] = {
        "hosts": hosts.hosts,
        "components": hosts.components,
        "etcd": etcd,
        "API servers": api.servers,
        "load balancers": api.load_balancers,
        "nodes": api.nodes,
        "system pods": api.workloads,
        "versions": api.versions,
        "certificates": partial(certificates, pki_dir=pki_dir, now=now),
        "other units": hosts.units,
        "disks": hosts.disks,
        "memory": hosts.memory,
        "clocks": hosts.clocks,
        # Not every cluster has some.
        **({"storage": storage} if seen.asked("storage") else {}),
    }
    areas = [_judged(name, part, seen) for name, part in parts.items()]
    return [replace(area, findings=merged(area.findings), known=area.known and bool(seen.hosts)) for area in areas]


def _judged(name: str, part: Callable[[Seen], Area], seen: Seen) -> Area:
    """An answer that nobody thought of leaves one area without a judgement, and the others as they are."""
    try:
        return part(seen)
    except Exception as problem:  # noqa: BLE001  (whatever it is, the other areas are still wanted)
        area = Area(name, "cannot be judged", known=False)
        area.fail("control node", f"an answer is not understood: {type(problem).__name__}: {problem}", "report it")
        return area


def merged(findings: list[Finding]) -> list[Finding]:
    """What several hosts have is said once; failures first."""
    by_text: dict[tuple[str, str, str], list[str]] = {}
    for it in findings:
        by_text.setdefault((it.level, it.what, it.todo), []).extend(it.hosts)
    every = [Finding(level, tuple(dict.fromkeys(on)), what, todo) for (level, what, todo), on in by_text.items()]
    return sorted(every, key=lambda it: it.level != FAILURE)


def level(area: Area) -> str:
    """The worst of it."""
    levels = {it.level for it in area.findings}
    return FAILURE if FAILURE in levels else WARNING if levels else "ok" if area.known else "unknown"


def document(areas: list[Area], now: datetime) -> dict[str, Any]:
    """For programs: nothing that they need is only in a text."""
    found = [(area, it) for area in areas for it in area.findings]
    return {
        "time": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "counts": {f"{kind}s": sum(1 for _area, it in found if it.level == kind) for kind in (FAILURE, WARNING)},
        "areas": [{"name": it.name, "level": level(it), "summary": it.summary, "figures": it.figures} for it in areas],
        "findings": [
            {"level": it.level, "area": area.name, "hosts": list(it.hosts), "what": it.what, "todo": todo(it, ",")}
            for area, it in found
        ],
    }


def todo(finding: Finding, between: str = ",", most: int = 1000) -> str:
    """What to do next, with the hosts in it."""
    some = finding.hosts[:most]
    return finding.todo.replace("{hosts}", between.join(some) + ("…" if len(some) < len(finding.hosts) else ""))


def table(areas: list[Area]) -> Iterator[tuple[str, str]]:
    """Lines with their level: how each area is, then what is wrong and what to do."""
    width = max(len(area.name) for area in areas)
    for area in areas:
        yield level(area), f"{WORDS[level(area)]:4}  {area.name:{width}}  {area.summary}".rstrip()
    for wanted in (FAILURE, WARNING):
        for area in areas:
            for it in (it for it in area.findings if it.level == wanted):
                yield "ok", ""
                yield wanted, f"{WORDS[wanted]}  {area.name}: {names(it.hosts)}: {it.what}"
                yield "ok", f"      -> {todo(it, ',', 5)}"
