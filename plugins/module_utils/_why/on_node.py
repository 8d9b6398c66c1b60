# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node itself has of a pod: log files, containers and how they ended. Files alone: no daemon has to run.

The kubelet names `/var/log/pods/NAMESPACE_POD_UID/CONTAINER/RESTARTS.log` (pkg/kubelet/kuberuntime/helpers.go) and
links `/var/log/containers/POD_NAMESPACE_CONTAINER-ID.log` to it; containerd keeps the state of each container beside
its root (internal/cri/store/container/status.go).
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from .where import query

LOGS, LINKS = "var/log/pods", "var/log/containers"
STATES = "var/lib/containerd/io.containerd.grpc.v1.cri/containers"
LINES, TAIL_BYTES = 20, 16384


def pods(root: Path, namespace: str, named: str) -> list[dict[str, Any]]:
    """Pods of that name, or else those whose owner has it. What ended stays until the kubelet cleans up."""
    folders = sorted((root / LOGS).glob(f"{namespace}_*_*"))
    names = {folder: folder.name.split("_", 2)[1] for folder in folders}
    wanted = [it for it in folders if names[it] == named] or [it for it in folders if names[it].startswith(f"{named}-")]
    links = {_points_to(link): link.stem.rpartition("-")[2] for link in (root / LINKS).glob("*.log")}
    return [
        {
            "namespace": namespace,
            "pod": names[folder],
            "uid": folder.name.split("_", 2)[2],
            "containers": [_container(root, it, links) for it in sorted(folder.iterdir()) if it.is_dir()],
        }
        for folder in wanted
    ]


def _points_to(link: Path) -> str:
    """Empty where its container has just been removed."""
    try:
        return os.readlink(link)
    except OSError:
        return ""


def _container(root: Path, folder: Path, links: dict[str, str]) -> dict[str, Any]:
    logs = sorted((it for it in folder.glob("*.log") if it.stem.isdigit()), key=lambda it: int(it.stem))
    last = logs[-1] if logs else None
    shown = f"/{last.relative_to(root)}" if last else ""
    ident = links.get(shown, "")
    return {
        "name": folder.name,
        "id": ident,
        "log": shown,
        "restarts": int(last.stem) if last else 0,
        **_state(root, ident),
        "lines": _lines(last) if last else [],
    }


def _state(root: Path, ident: str) -> dict[str, Any]:
    try:
        said = json.loads((root / STATES / ident / "status").read_text(encoding="utf-8")) if ident else {}
    except (OSError, ValueError):
        said = {}
    if not said:
        return {"state": "unknown"}
    if said.get("FinishedAt"):
        return {"state": "ended", "exit_code": said.get("ExitCode", 0), "reason": said.get("Reason", "")}
    # After a crash of the node the state is older than the process.
    alive = bool(said.get("Pid")) and (root / "proc" / str(said["Pid"])).exists()
    return {"state": "running" if alive else "not running"}


def _lines(log: Path) -> list[str]:
    """The last lines without time, stream and tag, which the runtime puts before each."""
    try:
        with log.open("rb") as stream:
            stream.seek(0, 2)
            size = stream.tell()
            stream.seek(max(0, size - TAIL_BYTES))
            text = stream.read().decode(errors="replace")
    except OSError:
        return []
    parts = [line.split(" ", 3) for line in text.splitlines()[1 if size > TAIL_BYTES else 0 :]]
    return [it[3][:300] for it in parts if len(it) == 4][-LINES:]


def shown(node: str, found: list[dict[str, Any]]) -> list[str]:
    """For people."""
    lines = []
    for pod in found:
        lines.append(f"pod {pod['namespace']}/{pod['pod']} is on node {node}")
        for it in pod["containers"]:
            code = f" with exit code {it['exit_code']} {it['reason']}".rstrip() if it["state"] == "ended" else ""
            lines.append(
                f"  container {it['name']}: {it['state']}{code}, {it['restarts']} restarts, id {it['id'][:13]}"
            )
            lines.append(f"  log on {node}: {it['log'] or 'none'}")
            lines += [f"    {line}" for line in it["lines"][-5:]]
            lines.append(f"  outside: logs '{query(pod['namespace'], pod['pod'], it['name'])}'")
    return lines
