# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all commands need: settings, programs to run, files that are whole, the metrics."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SETTINGS = "/etc/backup/settings.json"
RECORDS_KEPT = 1000
LINES_SHOWN = 3


class BackupError(Exception):
    """Something that the user can act on; the text is shown as it is."""


@dataclass(frozen=True)
class Settings:
    """/etc/backup/settings.json, which roles/backup writes; the paths are fixed but for tests."""

    cluster: str
    host: str
    etcd: list[str]
    repository: str
    targets: list[str]
    keep: dict[str, int]
    paths: list[str]
    service_network: str
    metrics: str
    prometheus: str = ""
    # Where the shared file system is mounted while volumes are saved; empty where there is none.
    file_system: str = ""
    config: str = "/etc/backup"
    data: str = "/var/lib/backup"
    drill: str = "/var/lib/backup-drill"
    programs: str = "/usr/local/bin"
    environment: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def staging(self) -> Path:
        """What a run makes to be saved; always the same path, so that restic finds what it knows."""
        return Path(self.data) / "staging"

    def program(self, name: str) -> str:
        """A program of the collection."""
        return f"{self.programs}/{name}"


def load(path: str = SETTINGS) -> Settings:
    """Settings, and the environment with which restic reaches its targets."""
    document = json.loads(Path(path).read_text(encoding="utf-8"))
    secrets = Path(path).with_name("environment.json")
    return Settings(**document, environment=json.loads(secrets.read_text(encoding="utf-8")))


def run(argv: list[str], environment: Mapping[str, str] | None = None, given: str | None = None) -> str:
    """Output of a program that has to work."""
    done = subprocess.run(
        argv,
        env={**os.environ, **(environment or {})},
        input=given,
        stdin=subprocess.DEVNULL if given is None else None,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode:
        raise BackupError(f"`{os.path.basename(argv[0])} {argv[1]}` failed: {complaint(done.stderr or done.stdout)}")
    return done.stdout


def complaint(text: str) -> str:
    """What a program said last, in one line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(lines[-LINES_SHOWN:])[:600] or "it said nothing"


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace a file, so that there is always the old or the new one."""
    part = path.with_name(f".{path.name}.part")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf-8") as stream:
        os.fchmod(stream.fileno(), mode)
        stream.write(text)
    part.replace(path)


@contextmanager
def alone(settings: Settings, name: str) -> Iterator[None]:
    """Only one at a time, by timer or by hand; the second one waits. The kernel forgets a lock with its process."""
    with (Path(settings.data) / f".{name}.lock").open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def records(settings: Settings, name: str) -> list[dict[str, Any]]:
    """What runs (or drills) said of themselves, the oldest first."""
    path = Path(settings.data) / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def record(settings: Settings, name: str, entry: dict[str, Any]) -> None:
    """Write down how one ended, and forget the oldest."""
    kept = [*records(settings, name), entry][-RECORDS_KEPT:]
    write(Path(settings.data) / f"{name}.jsonl", "".join(json.dumps(it) + "\n" for it in kept))


def last_success(settings: Settings, name: str) -> dict[str, Any]:
    """The newest record of one that ended well, empty without one."""
    return next((it for it in reversed(records(settings, name)) if it["result"] == "success"), {})


def labelled(metric: str, label: str, value: str) -> str:
    """A metric with a label, as Prometheus writes it."""
    return "".join([metric, "{", label, '="', value.replace("\\", "").replace('"', ""), '"}'])


def publish(settings: Settings, name: str, values: Mapping[str, tuple[str, float]]) -> None:
    """For node_exporter's textfile collector: metric (perhaps with labels) to its help text and value."""
    lines: dict[str, list[str]] = {}
    for metric, (text, value) in values.items():
        family = metric.partition("{")[0]
        lines.setdefault(family, [f"# HELP {family} {text}", f"# TYPE {family} gauge"]).append(f"{metric} {value:.15g}")
    document = "\n".join(line for family in lines.values() for line in family) + "\n"
    write(Path(settings.metrics) / f"{name}.prom", document)
