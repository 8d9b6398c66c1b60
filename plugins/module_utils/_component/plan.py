# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare a component with the host: what differs, and what follows from it. Nothing here changes anything."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from . import binaries
from .host import STATE_DIR, Found, Host

UNITS = "/etc/systemd/system/"


@dataclass
class Change:
    """One path that differs: how it is and how it shall be (None: absent)."""

    path: str
    before: Found | None
    after: bytes | None
    mode: int
    owner: str
    group: str
    restarts: str | None
    secret: bool = False
    binary: dict[str, Any] | None = None

    @property
    def content_differs(self) -> bool:
        """Whether more than mode or owner differs."""
        return self.binary is not None or self.before is None or self.after is None or self.before.content != self.after

    def describe(self) -> str:
        """One line for the list of actions."""
        if self.after is None and self.binary is None:
            return f"remove {self.path}"
        if self.before is None:
            return f"create {self.path}"
        return f"{'change' if self.content_differs else 'set mode and owner of'} {self.path}"


@dataclass
class Plan:
    """All that differs of one component."""

    spec: dict[str, Any]
    state: dict[str, Any] | None
    pending: dict[str, Any] | None
    packages: list[str] = field(default_factory=list)
    user: bool = False
    directories: list[dict[str, Any]] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    enable: bool = False
    active: bool = False
    complaint: str = ""

    @property
    def name(self) -> str:
        """The component's name."""
        return str(self.spec["name"])

    @property
    def new(self) -> bool:
        """Whether it never ran well on this host."""
        return self.state is None

    @property
    def unit(self) -> str | None:
        """The name of its unit, if it has one."""
        unit = self.spec.get("unit")
        return str(unit["name"]) if unit else None

    @property
    def unit_path(self) -> str | None:
        """Where its unit file lies, if it brings one."""
        unit = self.spec.get("unit")
        return f"{UNITS}{unit['name']}" if unit and unit.get("content") else None

    @property
    def unit_file_differs(self) -> bool:
        """Whether systemd must read unit files again."""
        return any(change.path.startswith(UNITS) and change.content_differs for change in self.changes)

    @property
    def restart_reasons(self) -> list[str]:
        """Why its unit must be (re)started; empty when it must not."""
        if not self.unit:
            return []
        reasons = [change.path for change in self.changes if change.content_differs and change.restarts is None]
        if self.pending is not None:
            reasons.append("an earlier run was interrupted")
        # Of another version than the one that runs.
        reasons += [f"package {name}" for name in self.packages if "=" in name and self.active]
        if not self.active:
            reasons.append("not running")
        elif self.complaint:
            reasons.append(f"not healthy: {self.complaint}")
        return reasons

    @property
    def other_units(self) -> list[str]:
        """Units beside its own that a changed file restarts, now or in a run that was interrupted before it did."""
        changed = {change.restarts for change in self.changes if change.content_differs and change.restarts}
        return sorted(changed.union((self.pending or {}).get("restarts", [])))

    @property
    def actions(self) -> list[str]:
        """What apply would do, one line each; empty when nothing."""
        lines = [f"install package {name}" for name in self.packages]
        if self.user:
            lines.append(f"create user {self.spec['user']['name']}")
        lines += [f"create or correct folder {directory['path']}" for directory in self.directories]
        lines += [change.describe() for change in self.changes]
        lines += [f"restart {unit}" for unit in self.other_units]
        if self.enable:
            lines.append(f"enable {self.unit}")
        if self.restart_reasons:
            verb = "start" if not self.active else "reload" if self.reloads else "restart"
            lines.append(f"{verb} {self.unit} ({', '.join(self.restart_reasons)})")
        return lines

    @property
    def reloads(self) -> bool:
        """Whether a reload is enough: the unit can, it runs well, and neither it nor its program changed."""
        program = any(
            change.binary or change.path == self.unit_path for change in self.changes if change.content_differs
        )
        return (
            bool(self.spec["unit"].get("reload"))
            and self.active
            and not self.complaint
            and not program
            and self.pending is None
        )


def compare(host: Host, spec: dict[str, Any], wanted_elsewhere: set[str]) -> Plan:
    """Compare one component but for units, packages and health, which the caller fills in for all at once."""
    name = spec["name"]
    plan = Plan(spec, host.load(f"components/{name}.json"), host.load(f"components/{name}.pending"))
    recorded = (plan.state or {}).get("binaries", {})
    known = (plan.state or {}).get("files", {})
    plan.user = bool(spec.get("user")) and not host.user_exists(spec["user"]["name"])
    for directory in spec.get("directories", []):
        real = host.path(directory["path"])
        ids = host.ids(directory["owner"], directory["group"])
        status = real.stat() if real.is_dir() else None
        if (
            status is None
            or ids != (status.st_uid, status.st_gid)
            or status.st_mode & 0o7777 != int(directory["mode"], 8)
        ):
            plan.directories.append(directory)
    for file in spec["files"]:
        before = host.read(file["dest"])
        mode = int(file["mode"], 8)
        ids = host.ids(file["owner"], file["group"])
        if before is None or before.content != file["bytes"] or before.mode != mode or ids != (before.uid, before.gid):
            secret = file["secret"] or known.get(file["dest"], {}).get("secret", False)
            plan.changes.append(
                Change(
                    file["dest"],
                    before,
                    file["bytes"],
                    mode,
                    file["owner"],
                    file["group"],
                    file.get("restarts"),
                    secret,
                )
            )
    for binary in spec["binaries"]:
        if not binaries.is_installed(host, binary, recorded):
            before = Found(b"", 0o755, 0, 0) if host.path(binary["dest"]).exists() else None
            plan.changes.append(Change(binary["dest"], before, None, 0o755, "root", "root", None, binary=binary))
    wanted = (
        {file["dest"] for file in spec["files"]} | {binary["dest"] for binary in spec["binaries"]} | wanted_elsewhere
    )
    stale = {**known, **recorded}.keys() - wanted
    for path in sorted(stale - paths_of_others(host, name) if stale else stale):
        before = host.read(path)
        if before is not None:
            # What an older version recorded does not say whether it is secret: it is treated so.
            restarts, secret = known.get(path, {}).get("restarts"), known.get(path, {}).get("secret", True)
            plan.changes.append(Change(path, before, None, 0, "root", "root", restarts, secret))
    return plan


def paths_of_others(host: Host, name: str) -> set[str]:
    """Paths of all other components on the host, also of those that this call does not name."""
    paths: set[str] = set()
    for record in host.path(f"{STATE_DIR}/components").glob("*.json"):
        if record.stem != name:
            document = host.load(f"components/{record.name}") or {}
            paths.update(document.get("files", {}), document.get("binaries", {}))
    return paths


def text_diff(change: Change) -> dict[str, str]:
    """One entry of Ansible's diff; contents of secrets and binaries are never in it."""

    def show(content: bytes | None) -> str:
        if content is None:
            return ""
        if change.secret:
            return f"(secret, {len(content)} bytes)\n"
        try:
            return content.decode()
        except UnicodeDecodeError:
            return f"(binary, sha256 {hashlib.sha256(content).hexdigest()})\n"

    before = show(change.before.content if change.before else None)
    after = show(change.after)
    if change.binary:
        before, after = (
            ("(other binary)\n" if change.before else ""),
            f"(binary {change.binary['name']}, sha256 {change.binary['sha256']})\n",
        )
    elif change.secret and change.content_differs and change.before and change.after is not None:
        before, after = "(secret: content differs)\n", "(secret: new content)\n"
    elif not change.content_differs and change.before:
        before = f"mode {change.before.mode:04o}, owner {change.before.uid}:{change.before.gid}\n"
        after = f"mode {change.mode:04o}, owner {change.owner}:{change.group}\n"
    return {"before_header": change.path, "after_header": change.path, "before": before, "after": after}
