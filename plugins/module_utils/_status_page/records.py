# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What backups and drills of this host left behind, in words and as a plot."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .common import DAY, HOUR, Settings, moment, size, span

SHOWN = 60
# As wide as a phone, so that words in it stay readable there.
WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 380, 120, 58, 12, 22
# As the alert BackupTooOld; a drill is made each day.
BACKUP_OLD, DRILL_OLD = 26 * HOUR, 2 * DAY
# Drills in a lab or in staging (playbooks/drill_NAME.yml): how long each took, and what was lost.
BY_HAND = {
    "rebuilds": "Rebuilds of all masters from a backup",
    "redeploys": "Rebuilds from git and registry alone",
    "outages": "Outages of all masters",
}


def records(settings: Settings, name: str) -> list[dict[str, Any]]:
    """Lines that can be read, the oldest first; a line that cannot is no reason to show nothing."""
    found = []
    try:
        lines = (Path(settings.records) / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and isinstance(entry.get("time"), (int, float)):
            found.append(entry)
    return found[-SHOWN:]


def story(settings: Settings, now: float) -> list[dict[str, Any]]:
    """Backups and drills, each with its last run, its last good one and its trend."""
    if not settings.backups:
        return []
    kinds = (("Backups", "runs", BACKUP_OLD, "errors"), ("Drills with backups", "drills", DRILL_OLD, "differences"))
    told = [chapter(title, records(settings, name), limit, complaints, now) for title, name, limit, complaints in kinds]
    by_hand = ((title, records(settings, name)) for name, title in BY_HAND.items())
    return told + [chapter(title, entries, math.inf, "", now) for title, entries in by_hand if entries]


def chapter(title: str, entries: list[dict[str, Any]], limit: float, complaints: str, now: float) -> dict[str, Any]:
    """One of the two."""
    good = next((it for it in reversed(entries) if it.get("result") == "success"), None)
    last = entries[-1] if entries else None
    state = "ok" if good and now - good["time"] <= limit and good is last else "down" if entries else "unknown"
    facts = []
    if last:
        facts.append(("last one", f"{moment(last['time'])}, {span(now - last['time'])} ago: {last.get('result', '')}"))
        facts.append(("last good one", f"{moment(good['time'])}, {span(now - good['time'])} ago" if good else "none"))
        facts.append(("took", span(last.get("seconds") or 0)))
        facts += _more(last)
    plots = [plot("how long each took", entries, lambda it: it.get("seconds"), lambda value: f"{value:.0f} s")]
    if any("snapshot_bytes" in it for it in entries):
        plots.append(plot("size of etcd's snapshot", entries, lambda it: it.get("snapshot_bytes"), size))
    elif any("objects" in it for it in entries):
        plots.append(plot("objects compared", entries, counted, lambda value: f"{value:.0f}"))
    wrong = [str(it) for it in (last or {}).get(complaints, [])]
    return {"title": title, "state": state, "facts": facts, "wrong": wrong, "plots": [it for it in plots if it]}


def _more(last: dict[str, Any]) -> list[tuple[str, str]]:
    """What only some records have."""
    facts = []
    if (objects := counted(last)) is not None:
        facts.append(("objects", f"{objects:.0f}"))
    if "age_seconds" in last:
        facts.append(("age of what was served", span(last["age_seconds"])))
    if "rpo_seconds" in last:
        facts.append(("lost", span(last["rpo_seconds"])))
    if "repository_bytes" in last:
        facts.append(("repository", size(last["repository_bytes"])))
    for target, when in last.get("targets", {}).items():
        facts.append((f"copy in {target}", "up to date" if when else "not up to date"))
    return facts


def counted(entry: dict[str, Any]) -> float | None:
    """Objects of a backup, or of a drill that counts them by kind."""
    objects = entry.get("objects")
    return float(sum(objects.values())) if isinstance(objects, dict) else objects


def plot(
    title: str,
    entries: list[dict[str, Any]],
    value: Callable[[dict[str, Any]], float | None],
    words: Callable[[float], str],
) -> dict[str, Any]:
    """A line through the values over time, with failed ones marked; empty where there is nothing to draw."""
    known = [
        (it["time"], float(number), it.get("result") == "success")
        for it in entries
        if (number := value(it)) is not None
    ]
    if not known:
        return {}
    first, last = known[0][0], known[-1][0]
    most = max(number for _, number, _ in known) or 1.0
    points = [
        {
            "x": round(LEFT + (WIDTH - LEFT - 10) * ((when - first) / (last - first) if last > first else 0.5), 1),
            "y": round(TOP + (HEIGHT - TOP - BOTTOM) * (1 - number / most), 1),
            "good": good,
            "text": f"{moment(when)}: {words(number)}{'' if good else ', failed'}",
        }
        for when, number, good in known
    ]
    return {
        "title": title,
        "points": points,
        "line": " ".join(f"{it['x']},{it['y']}" for it in points),
        "most": words(most),
        "first": moment(first)[5:16],
        "last": moment(last)[5:16],
        "label": f"{title}: {len(points)} values from {moment(first)} to {moment(last)}, at most {words(most)}, "
        f"the last one {words(known[-1][1])}; {sum(not good for _, _, good in known)} failed",
        "width": WIDTH,
        "height": HEIGHT,
        "left": LEFT,
        "top": TOP,
        "base": HEIGHT - BOTTOM,
    }
