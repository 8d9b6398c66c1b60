# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers as people read them: what it is, why one knows, where it runs, what to do next. Also in colour."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Document = dict[str, Any]
COLOURS = {"broken": "31", "unclear": "33", "starting": "33", "healthy": "32", "head": "1", "plain": ""}
WORDS = {"broken": "broken", "unclear": "unclear", "starting": "starting", "healthy": "well"}


def lines(said: Document) -> Iterator[tuple[str, str]]:
    """Each line of an answer about one object, with its colour."""
    yield said["state"], f"{WORDS[said['state']]}: {said['verdict']}"
    cause = said["cause"]
    if cause:
        yield from _listed("because", cause["evidence"])
        yield from _table(cause["table"])
        yield "head", f"next: {cause['todo']}"
    for it in said["also"]:
        yield "plain", f"also: {it['verdict']}"
    yield from _where(said["where"])
    yield from _listed("changed", said["changes"])
    yield from _listed("not known", said["unknown"])


def _listed(title: str, found: list[str]) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(found):
        yield "plain", f"{title if number == 0 else '':10} {line}"


def _table(rows: list[list[str]]) -> Iterator[tuple[str, str]]:
    if not rows:
        return
    widths = [max(len(cell) for cell in column) for column in zip(*rows)]
    for row in rows:
        yield "plain", f"{'':10} " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()


def _where(where: Document) -> Iterator[tuple[str, str]]:
    if not where:
        return
    on = f"on node {where['node']} ({where['node_address']})" if where["node"] else "on no node yet"
    yield "plain", f"{'where':10} pod {where['pod']} {on}"
    for it in where["containers"]:
        ident = it["id"][:13] or "none yet"
        about = f"container {it['name']}: {it['state']}, {it['restarts']} restarts, id {ident}"
        yield "plain", f"{'':10} {about}"
        for title, path in (("log", it["log"]), ("before", it["log_before"])):
            if path:
                yield "plain", f"{'':12} {title} on {where['node']}: {path}"
        yield "plain", f"{'':12} outside: logs '{it['log_query']}'"


def groups(said: Document) -> Iterator[tuple[str, str]]:
    """The whole cluster: a cause in a line, with what suffers from it."""
    for it in said["causes"]:
        yield "broken", f"{it['count']:4} {it['verdict']}"
        yield (
            "plain",
            f"{'':4} {', '.join(it['affected'][:5])}" + (f" and {it['count'] - 5} more" if it["count"] > 5 else ""),
        )
        yield "head", f"{'':4} next: {it['todo']}"
    counts = said["counts"]
    state = "broken" if said["causes"] else "healthy"
    total = f"{counts['unhealthy']} of {counts['seen']} unhealthy, {len(said['causes'])} causes"
    yield state, f"{total}; {counts['starting']} starting"
    yield from _listed("not known", said["unknown"])


def painted(found: Iterator[tuple[str, str]], colour: bool) -> str:
    """One text."""
    return "\n".join(
        f"\033[{COLOURS[kind]}m{line}\033[0m" if colour and COLOURS[kind] else line for kind, line in found
    )
