# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove every component from a host, by the host's own records: no inventory, no cluster and no artifact is needed.

Records go last, so that a run that was killed is finished by the next.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .host import STATE_DIR, ComponentError, Host
from .plan import UNITS

# Pods' processes, and what they leave, end within a moment of SIGKILL.
KILL_SECONDS = 15.0
STOP_SECONDS = 5.0
ENDED = ("inactive", "failed")
# How the kernel writes a space, tab, line feed and backslash of a path in mountinfo.
ESCAPED = {"\\040": " ", "\\011": "\t", "\\012": "\n", "\\134": "\\"}


@dataclass
class Traces:
    """All that the records name; sorted."""

    units: list[str]
    templates: list[str]
    programs: list[str]
    files: list[str]
    directories: list[str]
    patterns: list[str]
    interfaces: list[str]
    tables: list[str]
    commands: list[list[str]]
    readers: list[str]

    @classmethod
    def of(cls, records: list[dict[str, Any]]) -> Traces:
        """Of all components together."""

        def left(kind: str) -> list[str]:
            return sorted({name for record in records for name in (record.get("leaves") or {}).get(kind, [])})

        named = {unit for record in records for unit in units_of(record)}
        units = {unit for unit in named if "@." not in unit}
        restarts = {file.get("restarts") for record in records for file in record["files"].values()}
        return cls(
            units=sorted(units),
            # Their instances (ci@.service: the jobs of all repositories), as systemctl takes them.
            templates=sorted(unit.replace("@.", "@*.") for unit in named - units),
            programs=sorted({path for record in records for path in record["binaries"]}),
            files=sorted({path for record in records for path in record["files"]}),
            directories=sorted({path for record in records for path in record.get("directories", [])}),
            patterns=left("paths"),
            interfaces=left("interfaces"),
            tables=left("nft_tables"),
            commands=[command for record in records for command in (record.get("leaves") or {}).get("commands", [])],
            readers=sorted(restarts - {None, "", *units}),
        )


def run(host: Host, check: bool) -> list[str]:
    """Remove all that is there, and say what, a line each."""
    records = recorded(host)
    if not records:
        return []
    traces = Traces.of(records)
    removed = present(host, traces)
    if not check:
        end_processes(host, traces)
        clean_kernel(host, traces)
        remove_files(host, traces)
        # Last: as long as they are there, the next run knows what to do.
        delete(host, STATE_DIR)
    return removed


def present(host: Host, traces: Traces) -> list[str]:
    """What of it is there, in words."""
    paths = sorted([*traces.files, *traces.programs]) + expanded(host, traces.patterns)
    return [
        *(f"unit {unit}" for unit in units(host, traces)),
        *(f"interface {name}" for name in interfaces(host, traces)),
        *(f"nft table {name}" for name in tables(host, traces)),
        *(path for path in paths if os.path.lexists(host.path(path))),
    ]


def end_processes(host: Host, traces: Traces) -> None:
    """Stop units, then what outlives them: containers do, so that containerd can be restarted."""
    stop(host, units(host, traces))
    if traces.templates:
        host.try_run(["systemctl", "kill", "--signal=SIGKILL", *traces.templates])
        host.systemctl("stop", *traces.templates)
    deadline = time.monotonic() + KILL_SECONDS
    while pids := processes(host, traces.programs):
        if time.monotonic() > deadline:
            raise ComponentError(f"processes {', '.join(map(str, pids))} do not end; restart the host and run again")
        for pid in pids:
            host.kill(pid, signal.SIGKILL)
        time.sleep(0.1)


def stop(host: Host, names: list[str]) -> None:
    """Stop units; an API server whose etcd is gone would take a minute and a half, so nobody gets more than seconds."""
    if not names:
        return
    host.try_run(["systemctl", "disable", "--quiet", *names])
    host.systemctl("stop", "--no-block", *names)
    deadline = time.monotonic() + STOP_SECONDS
    while running := [name for name, state in host.units(names).items() if state.get("ActiveState") not in ENDED]:
        if time.monotonic() > deadline:
            host.try_run(["systemctl", "kill", "--signal=SIGKILL", *running])
            host.systemctl("stop", *running)
            break
        time.sleep(0.1)


def clean_kernel(host: Host, traces: Traces) -> None:
    """What is not a file: rules, routes, mounts, interfaces."""
    for command in traces.commands:
        # A program that a killed run removed already has done its part.
        if host.path(command[0]).exists():
            host.run(command)
    unmount(host, traces.patterns)
    for name in interfaces(host, traces):
        host.run(["ip", "link", "delete", name])
    for table in tables(host, traces):
        host.run(["nft", "delete", "table", *table.split()])


def remove_files(host: Host, traces: Traces) -> None:
    """Files, data and folders; units beside ours read again what is left of their configuration."""
    for path in [*traces.files, *traces.programs]:
        host.remove(path)
    for path in expanded(host, traces.patterns):
        delete(host, path)
    remove_empty(host, traces.directories)
    host.systemctl("daemon-reload")
    host.try_run(["systemctl", "reset-failed", *traces.units])
    if traces.readers:
        host.systemctl("restart", *traces.readers)


def units(host: Host, traces: Traces) -> list[str]:
    """Those that systemd knows."""
    known = host.units(traces.units)
    return [unit for unit in traces.units if known[unit].get("LoadState") != "not-found"]


def interfaces(host: Host, traces: Traces) -> list[str]:
    """Those that exist; those of pods are gone with their namespaces."""
    return [name for name in traces.interfaces if host.path(f"/sys/class/net/{name}").exists()]


def tables(host: Host, traces: Traces) -> list[str]:
    """Those of nftables (`ip kube-proxy`) that exist."""
    listed = host.try_run(["nft", "list", "tables"]).stdout.splitlines() if traces.tables else []
    return [name for name in traces.tables if f"table {name}" in map(str.strip, listed)]


def delete(host: Host, path: str) -> None:
    """Remove a path with all below it, but nothing of another file system; of a mounted disk all that is on it."""
    real = host.path(path)
    targets = list(real.iterdir()) if real.is_mount() else [real]
    if targets:
        host.run(["rm", "--recursive", "--force", "--one-file-system", *map(str, targets)])


def recorded(host: Host) -> list[dict[str, Any]]:
    """What each component brought; of one whose first start never ended well, what it was about to bring."""
    folder = host.path(f"{STATE_DIR}/components")
    names = sorted({path.stem for path in [*folder.glob("*.json"), *folder.glob("*.pending")]})
    records = []
    for name in names:
        pending = host.load(f"components/{name}.pending") or {}
        parts = [host.load(f"components/{name}.json"), pending.get("record")]
        records += [part for part in parts if part]
    return records


def units_of(record: dict[str, Any]) -> Iterable[str]:
    """The component's own unit, and others that lie among its files."""
    if record.get("unit"):
        yield str(record["unit"])
    for path in record["files"]:
        if path.startswith(UNITS) and "/" not in path.removeprefix(UNITS):
            yield path.removeprefix(UNITS)


def expanded(host: Host, patterns: Iterable[str]) -> list[str]:
    """Paths that exist."""
    found = {path for pattern in patterns for path in host.root.glob(pattern.lstrip("/"))}
    return sorted(f"/{path.relative_to(host.root)}" for path in found)


def processes(host: Host, programs: list[str]) -> list[int]:
    """Processes of pods, by their control group, and of the programs."""
    found = []
    for entry in host.path("/proc").glob("[0-9]*"):
        try:
            # A program that was replaced while it ran has " (deleted)" behind its name.
            program = os.readlink(entry / "exe").removesuffix(" (deleted)")
            groups = (entry / "cgroup").read_text(encoding="utf-8")
        except OSError:
            # It ended meanwhile, or is a thread of the kernel.
            continue
        if program in programs or "/kubepods" in groups:
            found.append(int(entry.name))
    return found


def unmount(host: Host, patterns: list[str]) -> None:
    """Unmount what is mounted below our paths, innermost first; a disk that is mounted at the path itself stays."""
    if not host.path("/proc/self/mountinfo").exists():
        return
    lines = host.path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    for target in sorted({unescaped(line.split()[4]) for line in lines}, key=len, reverse=True):
        parents = [str(parent) for parent in Path(target).parents]
        if any(Path(path).match(pattern) for pattern in patterns for path in parents) or (
            any("*" in pattern and Path(target).match(pattern) for pattern in patterns)
        ):
            host.run(["umount", target])


def unescaped(path: str) -> str:
    """A path as it is."""
    for written, character in ESCAPED.items():
        path = path.replace(written, character)
    return path


def remove_empty(host: Host, folders: Iterable[str]) -> None:
    """Remove folders that nobody else uses, and empty ones above them (/etc/kubernetes, but not /etc)."""
    for folder in sorted(set(folders), key=len, reverse=True):
        path = Path(folder)
        while len(path.parts) > 2:
            try:
                host.path(str(path)).rmdir()
            except OSError:
                break
            path = path.parent
