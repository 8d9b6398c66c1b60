# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apply plans: new components all together, existing ones one by one with rollback.

Killed at any point, the next run finishes.
"""

from __future__ import annotations

import os
import shutil
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from . import binaries, health
from .host import STATE_DIR, ComponentError, Host
from .plan import Change, Plan, compare, text_diff

GRACE_SECONDS = 10.0
# What is left to a component at a first start when others took all of its time.
FLOOR_SECONDS = 2.0


def run(
    host: Host, components: list[dict[str, Any]], store: dict[str, Any], rolling: bool, check: bool
) -> dict[str, Any]:
    """Bring the host's components to what is wanted; returns the module's result."""
    plans = make_plans(host, components)
    changed = [plan for plan in plans if plan.actions]
    result: dict[str, Any] = {
        "changed": bool(changed),
        "deferred": False,
        "components": {plan.name: {"changed": bool(plan.actions), "actions": plan.actions} for plan in plans},
        "diff": [text_diff(change) for plan in plans for change in plan.changes],
    }
    if check:
        return result
    for plan in plans:
        # All as wanted, but not our record of it: it is gone, or a program was touched and is the same all the same.
        if not plan.actions and (plan.pending is not None or plan.state != record(host, plan)):
            finish(host, plan)
    if not changed:
        return result
    if rolling and any(
        plan.spec.get("rolling") and not plan.new and plan.active and plan.restart_reasons for plan in changed
    ):
        return {**result, "changed": False, "deferred": True, "diff": []}
    apply(host, changed, store)
    return result


def make_plans(host: Host, components: list[dict[str, Any]]) -> list[Plan]:
    """Compare everything before anything is changed, so that a file of two components restarts both."""
    paths = {spec["name"]: {item["dest"] for item in spec["files"] + spec["binaries"]} for spec in components}
    plans = [
        compare(host, spec, set().union(*(paths[name] for name in paths if name != spec["name"])))
        for spec in components
    ]
    missing = set(
        host.missing_packages(sorted({package for spec in components for package in spec.get("packages", [])}))
    )
    units = host.units([plan.unit for plan in plans if plan.unit])
    for plan in plans:
        plan.packages = [package for package in plan.spec.get("packages", []) if package in missing]
        if plan.unit:
            state = units[plan.unit]
            plan.active = state.get("ActiveState") in ("active", "reloading")
            plan.enable = state.get("UnitFileState") not in ("enabled", "static", "generated")
    # What is restarted anyway is not asked: it would take the whole grace where it is unhealthy for what changes now.
    probed = [
        plan
        for plan in plans
        if plan.active and not plan.new and plan.spec.get("health") and (not plan.restart_reasons or plan.reloads)
    ]
    with ThreadPoolExecutor(max_workers=len(probed) or 1) as pool:
        for plan, complaint in zip(probed, pool.map(lambda plan: current_complaint(host, plan), probed)):
            plan.complaint = complaint
    return plans


def current_complaint(host: Host, plan: Plan) -> str:
    """What is wrong with a running component; it gets some seconds to recover by itself."""
    spec = plan.spec["health"]
    return health.probe(host, spec) and health.wait(host, plan.unit, spec, GRACE_SECONDS)


def apply(host: Host, plans: list[Plan], store: dict[str, Any]) -> None:
    """Do what the plans say. What may fail without a trace comes first: packages and downloads."""
    packages = sorted({package for plan in plans for package in plan.packages})
    if packages:
        for plan in plans:
            write_sources(host, plan)
        host.install_packages(packages)
    binaries.fetch_all(host, [change.binary for plan in plans for change in plan.changes if change.binary], store)
    # A file of several components restarts each of them, also when this run ends after the first one wrote it.
    writers = Counter(change.path for plan in plans for change in plan.changes)
    for plan in plans:
        if any(writers[change.path] > 1 for change in plan.changes):
            mark(host, plan)
    new = [plan for plan in plans if plan.new]
    for plan in new:
        write(host, plan)
    start_together(host, new)
    for plan in [plan for plan in plans if not plan.new]:
        replace(host, plan)


def write_sources(host: Host, plan: Plan) -> None:
    """What says where a component's packages come from."""
    wanted = {file["dest"] for file in plan.spec["files"] if file.get("before_packages")}
    changes = [change for change in plan.changes if change.path in wanted]
    if changes:
        mark(host, plan)
        for change in changes:
            put(host, change)


def mark(host: Host, plan: Plan) -> None:
    """Note what is about to happen, so that a run that is killed from here on is finished by the next."""
    # Of what never got healthy there is no other record.
    begun = traces(plan) if plan.new else None
    host.save(
        f"components/{plan.name}.pending", {"actions": plan.actions, "restarts": plan.other_units, "record": begun}
    )


def write(host: Host, plan: Plan) -> None:
    """Users, folders and files of one component."""
    mark(host, plan)
    user = plan.spec.get("user")
    if user and not host.user_exists(user["name"]):
        host.add_user(user["name"], user["home"], user["shell"])
    for directory in plan.directories:
        real = host.path(directory["path"])
        real.mkdir(parents=True, exist_ok=True)
        host.set_owner(real, int(directory["mode"], 8), *owner_ids(host, directory["owner"], directory["group"]))
    for change in plan.changes:
        put(host, change)


def put(host: Host, change: Change) -> None:
    """Make one path what it shall be."""
    if change.binary:
        source = host.path(binaries.staged(change.path, change.binary["sha256"]))
        if source.exists():  # two components may bring the same program
            source.replace(host.path(change.path))
    elif change.after is None:
        host.remove(change.path)
    elif change.content_differs:
        host.write(change.path, change.after, change.mode, *owner_ids(host, change.owner, change.group))
    else:
        host.set_owner(host.path(change.path), change.mode, *owner_ids(host, change.owner, change.group))


def owner_ids(host: Host, owner: str, group: str) -> tuple[int, int]:
    """Numeric owner; a name that nobody made is an error."""
    ids = host.ids(owner, group)
    if ids is None:
        raise ComponentError(
            f"user `{owner}` or group `{group}` does not exist on the host; "
            "name it as the component's `user` or install the package that brings it"
        )
    return ids


def start_together(host: Host, plans: list[Plan]) -> None:
    """First start: all units at once, since they wait for each other, then each one's health; time runs for all."""
    if not plans:
        return
    reload_units(host, plans)
    restart_others(host, plans)
    enable(host, plans)
    starting = [plan for plan in plans if plan.unit and plan.restart_reasons]
    for plan in starting:
        if plan.spec.get("first_start"):
            first_start(host, plan)
    restart(host, [plan.unit for plan in starting if plan.unit and not plan.spec.get("first_start")])
    began = time.monotonic()
    complaints = []
    for plan in plans:
        left = max(timeout_of(plan) - (time.monotonic() - began), FLOOR_SECONDS)
        complaint = health.wait(host, plan.unit, plan.spec.get("health"), left)
        if complaint:
            journal = host.journal(plan.unit) if plan.unit else ""
            complaints.append(
                f"{plan.name} does not get healthy: {complaint}. It is its first start, so there is nothing to go back "
                f"to; its files were left for inspection.\n{journal}"
            )
        else:
            finish(host, plan)
    if complaints:
        raise ComponentError("\n".join(complaints))


def first_start(host: Host, plan: Plan) -> None:
    """The component's own command starts its stopped unit, and takes as long as that needs.

    A run that is killed meanwhile leaves its mark and no record, so the next one runs the command again.
    """
    host.systemctl("stop", str(plan.unit))
    done = host.try_run(plan.spec["first_start"])
    if done.returncode != 0:
        output = (done.stderr or done.stdout).strip()[-2000:]
        raise ComponentError(f"{plan.name} was not started: {output}")


def replace(host: Host, plan: Plan) -> None:
    """Change a component that ran before; where it does not get healthy again, everything is put back."""
    back_up(host, plan)
    complaint = ""
    try:
        write(host, plan)
        reload_units(host, [plan])
        restart_others(host, [plan])
        enable(host, [plan])
        if plan.unit and plan.restart_reasons:
            if plan.reloads:
                host.systemctl("reload", plan.unit)
            else:
                restart(host, [plan.unit])
        if plan.restart_reasons:
            complaint = health.wait(host, plan.unit, plan.spec.get("health"), timeout_of(plan))
            complaint = complaint and f"{plan.name} does not get healthy: {complaint}"
    except (ComponentError, OSError) as error:
        complaint = f"{plan.name} cannot be changed: {error}"
    if not complaint:
        finish(host, plan)
        return
    journal = host.journal(plan.unit) if plan.unit else ""
    try:
        outcome = roll_back(host, plan)
    except (ComponentError, OSError) as error:
        previous = f"{STATE_DIR}/previous/{plan.name}"
        outcome = f"It could not be rolled back either: {error}. What was there before is in {previous}."
    raise ComponentError(f"{complaint}. {outcome}\nLast lines of its journal:\n{journal}")


def reload_units(host: Host, plans: Iterable[Plan]) -> None:
    """Let systemd read unit files again where one changed, also where an interrupted run changed it."""
    if any(plan.unit_file_differs or plan.pending is not None for plan in plans):
        host.systemctl("daemon-reload")


def restart_others(host: Host, plans: Iterable[Plan]) -> None:
    """Restart units beside the components' own whose files changed."""
    units = sorted({unit for plan in plans for unit in plan.other_units})
    if units:
        host.systemctl("restart", *units)


def enable(host: Host, plans: Iterable[Plan]) -> None:
    """Let the units start at boot."""
    units = [plan.unit for plan in plans if plan.unit and plan.enable]
    if units:
        host.systemctl("enable", "--quiet", *units)


def restart(host: Host, units: list[str]) -> None:
    """Stop, wait until the old process is gone, and start.

    The start is not waited for: units wait for each other, and health is asked afterwards.
    """
    if units:
        host.systemctl("stop", *units)
        host.try_run(["systemctl", "reset-failed", *units])
        host.systemctl("start", "--no-block", *units)


def timeout_of(plan: Plan) -> float:
    """How long the component may take to get healthy."""
    return float((plan.spec.get("health") or {}).get("timeout_seconds") or 60)


def record(host: Host, plan: Plan) -> dict[str, Any]:
    """What the host remembers of a component that is installed and healthy."""
    spec = plan.spec
    return {
        **traces(plan),
        "name": plan.name,
        "version": next((binary["version"] for binary in spec["binaries"] if binary.get("version")), None),
        "binaries": {
            binary["dest"]: {"sha256": binary["sha256"], "signature": binaries.signature(host, binary["dest"])}
            for binary in spec["binaries"]
        },
        # How to ask it how it is, without a site run and its inventory: check.yml does.
        "health": spec.get("health"),
        "tls": spec.get("tls") or [],
    }


def traces(plan: Plan) -> dict[str, Any]:
    """What a component is on a host, as `reset` needs it to remove all of it again."""
    spec = plan.spec
    return {
        "unit": plan.unit,
        "binaries": dict.fromkeys([binary["dest"] for binary in spec["binaries"]]),
        "files": {file["dest"]: {"secret": file["secret"], "restarts": file.get("restarts")} for file in spec["files"]},
        "directories": [directory["path"] for directory in spec.get("directories", [])],
        "leaves": spec.get("leaves") or {},
    }


def finish(host: Host, plan: Plan) -> None:
    """Record what is installed and healthy now."""
    host.save(f"components/{plan.name}.json", record(host, plan))
    forget(host, plan)


def forget(host: Host, plan: Plan) -> None:
    """Remove what an interrupted run left, its mark, and what was kept for going back."""
    for binary in plan.spec["binaries"]:
        binaries.tidy(host, binary["dest"])
    for path in {*(plan.state or {}).get("files", {}), *(file["dest"] for file in plan.spec["files"])}:
        host.temporary(path).unlink(missing_ok=True)
    shutil.rmtree(host.path(f"{STATE_DIR}/previous/{plan.name}"), ignore_errors=True)
    host.remove(f"{STATE_DIR}/components/{plan.name}.pending")


def back_up(host: Host, plan: Plan) -> None:
    """Keep what is about to change; what an interrupted run kept is older: the last healthy state, which stays."""
    folder = f"{STATE_DIR}/previous/{plan.name}"
    kept = (host.load(f"previous/{plan.name}/index.json") or {}) if plan.pending is not None else {}
    for change in plan.changes:
        if change.path in kept:
            continue
        entry: dict[str, Any] = {"copy": None}
        if change.before is not None:
            copy = f"{folder}/{len(kept)}"
            if change.binary:
                link_or_copy(host, change.path, copy)
            else:
                host.write(copy, change.before.content, 0o600, os.getuid(), os.getgid())
            entry = {"copy": copy, "mode": change.before.mode, "uid": change.before.uid, "gid": change.before.gid}
            entry["binary"] = change.binary is not None
        kept[change.path] = entry
    host.save(f"previous/{plan.name}/index.json", kept)


def link_or_copy(host: Host, source: str, copy: str) -> None:
    """A hard link costs nothing; across file systems it must be a copy."""
    target = host.path(copy)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(host.path(source), target)
    except OSError:
        shutil.copy2(host.path(source), target)


def roll_back(host: Host, plan: Plan) -> str:
    """Put back what was there before, start it, and say in a sentence how that went."""
    for path, entry in (host.load(f"previous/{plan.name}/index.json") or {}).items():
        if entry["copy"] is None:
            host.remove(path)
            continue
        if entry.get("binary"):
            back = binaries.staged(path, binaries.PREVIOUS)
            link_or_copy(host, entry["copy"], back)
            host.path(back).replace(host.path(path))
        else:
            host.write(path, host.path(entry["copy"]).read_bytes(), entry["mode"], entry["uid"], entry["gid"])
    host.systemctl("daemon-reload")
    restart_others(host, [plan])
    restart(host, [plan.unit] if plan.unit else [])
    complaint = health.wait(host, plan.unit, plan.spec.get("health"), timeout_of(plan))
    if complaint:
        return f"It was rolled back, but is not healthy with its old files either: {complaint}."
    forget(host, plan)
    return "It was rolled back to what ran before and is healthy again."
