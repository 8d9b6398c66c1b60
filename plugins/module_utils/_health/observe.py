# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host says about its health, raw: nothing is judged here, changed, or waited for long."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from ansible_collections.selfhosted.kubernetes.plugins.module_utils._component import health
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._component.host import STATE_DIR, Host

from . import cluster, tls

# One probe, one that is a program of some work (kubectl diff), and all of them: they run at the same time, and what has
# not answered by then is named.
PROBE_SECONDS = 3.0
COMMAND_SECONDS = 6.0
DEADLINE_SECONDS = 7.0
# Of the journal of what is not well: enough to say why.
COMPLAINT = re.compile(
    r"error|fail|panic|fatal|refused|expired|denied|no space|read-only|unknown|invalid|not defined", re.IGNORECASE
)
WORDS, WORDS_LENGTH = 20, 600
# Besides the folders of components' data.
DISKS = ("/", "/var/log")


def observe(host: Host) -> dict[str, Any]:
    """All of it. What is asked follows from the host's own records, so that no inventory has to be right."""
    clock, began = time.time(), time.monotonic()
    records, pending = recorded(host)
    asked: dict[str, Callable[[], Any]] = {
        "units": lambda: host.units([record["unit"] for record in records.values() if record.get("unit")]),
        "failed_units": lambda: failed_units(host),
        "disks": lambda: disks(host, records),
        "memory": lambda: memory(host),
        "files": lambda: tls.in_files(host, records),
    }
    for name, record in records.items():
        if record.get("health"):
            seconds = COMMAND_SECONDS if record["health"].get("command") else PROBE_SECONDS
            asked[f"health {name}"] = partial(health.probe, host, record["health"], seconds)
        for number, server in enumerate(tls.servers(record)):
            asked[f"served {name} {number}"] = partial(tls.served, host, server, PROBE_SECONDS)
    for name, (_key, ask) in cluster.QUESTIONS.items():
        if name in records:
            asked[f"cluster {name}"] = partial(ask, host, PROBE_SECONDS)
    answers = together(asked, DEADLINE_SECONDS)
    found = components(records, pending, answers)
    sick = {name: it for name, it in found.items() if it["unit"] and (it["active"] != "active" or it["complaint"])}
    words = together({name: partial(last_words, host, str(it["unit"])) for name, it in sick.items()}, PROBE_SECONDS)
    for name, it in sick.items():
        it.update({"journal": [], "listeners": []} if "error" in words[name] else words[name])
    return {
        "components": found,
        "certificates": {
            "files": answers["files"],
            "served": [answer for name, answer in answers.items() if name.startswith("served ")],
        },
        **{name: answers[name] for name in ("failed_units", "disks", "memory")},
        **{key: answers[f"cluster {name}"] for name, (key, _ask) in cluster.QUESTIONS.items() if name in records},
        # How long ago the clock was read tells the control node more exactly when that was.
        "clock": {"host": clock, "elapsed": time.monotonic() - began},
    }


def recorded(host: Host) -> tuple[dict[str, dict[str, Any]], set[str]]:
    """Each component's record, empty where its first start never ended well; and which were interrupted."""
    # A folder that may not be read has to be an error: there are components.
    try:
        found = sorted(host.path(f"{STATE_DIR}/components").iterdir())
    except FileNotFoundError:
        found = []
    pending = {path.stem for path in found if path.suffix == ".pending"}
    names = sorted({*pending, *(path.stem for path in found if path.suffix == ".json")})
    return {name: host.load(f"components/{name}.json") or {} for name in names}, pending


def together(asked: dict[str, Callable[[], Any]], seconds: float) -> dict[str, Any]:
    """Every answer by the question's name; an `error` instead where there was none, or none in time.

    Threads that hang (a disk that does not answer) keep neither the others nor the end of the process waiting.
    """
    late = {"error": f"no answer within {seconds:.0f} s"}
    answers: dict[str, Any] = dict.fromkeys(asked, late)
    deadline = time.monotonic() + seconds

    def run(name: str) -> None:
        try:
            answers[name] = asked[name]()
        except Exception as error:  # noqa: BLE001  (whatever it is, the other answers are still wanted)
            answers[name] = {"error": f"{type(error).__name__}: {error}"}

    threads = [threading.Thread(target=run, args=(name,), daemon=True) for name in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return dict(answers)


def components(
    records: dict[str, dict[str, Any]], pending: set[str], answers: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """Of each what systemd and its own health endpoint say."""
    units = answers["units"]
    result = {}
    for name, record in records.items():
        state = units.get(record.get("unit"), {})
        asked = f"health {name}" in answers
        result[name] = {
            "installed": bool(record),
            "interrupted": name in pending,
            "version": record.get("version"),
            "unit": record.get("unit"),
            "active": state.get("ActiveState"),
            "sub": state.get("SubState"),
            "enabled": state.get("UnitFileState"),
            "restarts": int(state.get("NRestarts") or 0),
            "seconds": time.monotonic() - int(state.get("ActiveEnterTimestampMonotonic") or 0) / 1e6,
            "complaint": told(answers[f"health {name}"]) if asked else "",
        }
    return result


def last_words(host: Host, unit: str) -> dict[str, list[str]]:
    """What a unit that is not well complained of last; and who listens, where another has its port."""
    # Backwards: with --since alone the lines are the first ones.
    shown = ["--output=cat", "--no-pager", "--quiet", "--lines=200", "--since=-1h", "--reverse"]
    done = host.try_run(["journalctl", f"--unit={unit}", *shown], timeout=PROBE_SECONDS)
    lines = [line.strip()[:WORDS_LENGTH] for line in done.stdout.splitlines() if COMPLAINT.search(line)][:WORDS]
    taken = any("address already in use" in line for line in lines)
    listeners = (
        host.try_run(["ss", "--listening", "--tcp", "--numeric", "--processes", "--no-header"]) if taken else None
    )
    return {"journal": lines[::-1], "listeners": listeners.stdout.splitlines() if listeners else []}


def told(answer: Any) -> str:
    """A health probe's complaint, or why there is none."""
    return str(answer["error"]) if isinstance(answer, dict) else str(answer)


def failed_units(host: Host) -> list[str]:
    """Names of all units that failed, whoever brought them."""
    listed = host.run(["systemctl", "list-units", "--state=failed", "--no-legend", "--plain", "--no-pager"])
    return [line.split()[0] for line in listed.splitlines() if line.strip()]


def disks(host: Host, records: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Each file system that holds one of our paths, by the first of them."""
    found: dict[int, dict[str, Any]] = {}
    data = {path for record in records.values() for path in (record.get("leaves") or {}).get("paths", [])}
    for path in [*DISKS, *sorted(data)]:
        real = host.path(path)
        if real.exists():
            stat = os.statvfs(real)
            entry = {
                "path": path,
                "read_only": bool(stat.f_flag & os.ST_RDONLY),
                "free_bytes": stat.f_bavail * stat.f_frsize,
                "used_bytes": (stat.f_blocks - stat.f_bfree) * stat.f_frsize,
                "free_inodes": stat.f_favail,
                "used_inodes": stat.f_files - stat.f_ffree,
            }
            found.setdefault(real.stat().st_dev, entry)
    return list(found.values())


def memory(host: Host) -> dict[str, int]:
    """All of it, and what programs can still have."""
    text = host.path("/proc/meminfo").read_text(encoding="utf-8")
    values = {name: int(kib) * 1024 for name, kib in re.findall(r"^(\w+):\s+(\d+) kB", text, flags=re.MULTILINE)}
    return {"total_bytes": values["MemTotal"], "available_bytes": values["MemAvailable"]}
