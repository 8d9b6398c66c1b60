# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a check finds. Judging is pure: what hosts said goes in, areas with findings come out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FAILURE, WARNING = "failure", "warning"
SITE = "ansible-playbook … site.yml"
SITE_THERE = f"{SITE} --limit {{hosts}}"
NOT_ASKED = "not asked"


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be, and what to do next; `{hosts}` stands for the hosts that have it."""

    level: str
    hosts: tuple[str, ...]
    what: str
    todo: str


@dataclass
class Area:
    """One row of the table: how things are in a few words, what is wrong, and figures for programs."""

    name: str
    summary: str = ""
    findings: list[Finding] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)
    known: bool = True

    def fail(self, hosts: str | tuple[str, ...], what: str, todo: str) -> None:
        """Something is broken."""
        self._add(FAILURE, hosts, what, todo)

    def warn(self, hosts: str | tuple[str, ...], what: str, todo: str) -> None:
        """Something works, but not for ever, or not as it was meant."""
        self._add(WARNING, hosts, what, todo)

    def _add(self, level: str, hosts: str | tuple[str, ...], what: str, todo: str) -> None:
        self.findings.append(Finding(level, (hosts,) if isinstance(hosts, str) else hosts, what, todo))


@dataclass(frozen=True)
class Seen:
    """What is known: the inventory's groups, and what each host of the run said, or why it said nothing."""

    groups: Mapping[str, list[str]]
    hosts: Mapping[str, Mapping[str, Any]]
    silent: Mapping[str, str]

    def group(self, name: str) -> list[str]:
        """Hosts of a group; etcd's are the masters unless it has its own."""
        found = list(self.groups.get(name, []))
        return self.group("masters") if name == "etcd" and not found else found

    def asked(self, name: str) -> list[str]:
        """Hosts of a group that this run has asked, whether they answered or not."""
        return [host for host in self.group(name) if host in self.hosts or host in self.silent]

    @property
    def nodes(self) -> list[str]:
        """Hosts that run a kubelet."""
        return list(dict.fromkeys([*self.group("masters"), *self.group("workers")]))

    def answers(self, key: str) -> dict[str, Mapping[str, Any]]:
        """What hosts that have something to say about it said, errors left out."""
        return {name: it[key] for name, it in self.hosts.items() if key in it and not error(it[key])}

    def errors(self, key: str) -> dict[str, str]:
        """Why hosts that should have said something did not."""
        return {name: problem for name, it in self.hosts.items() if key in it and (problem := error(it[key]))}

    @property
    def api(self) -> Mapping[str, Any] | None:
        """The first good answer about the API's objects, of a server that is ready if there is one."""
        answers = self.answers("api")
        ready = [name for name in answers if well(self.hosts[name]["components"]["kube-apiserver"])]
        return next((answers[name] for name in [*ready, *answers]), None)


def error(answer: Any) -> str:
    """Why a question has no answer; empty when it has one."""
    return str(answer["error"]) if isinstance(answer, Mapping) and set(answer) == {"error"} else ""


def well(component: Mapping[str, Any]) -> bool:
    """Whether a component runs and says that it is healthy."""
    return component["active"] in ("active", "reloading", None) and not component["complaint"]


def names(hosts: list[str] | tuple[str, ...], most: int = 5) -> str:
    """Names in a line that stays readable with hundreds of hosts."""
    return ", ".join(hosts[:most]) + (f" and {len(hosts) - most} more" if len(hosts) > most else "")


def mib(size: float) -> str:
    """Bytes for people."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
