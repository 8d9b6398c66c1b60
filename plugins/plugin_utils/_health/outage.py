# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why no API server answers: one root cause, from what hosts say of etcd and API servers, their disks and files."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography import x509

from .model import SITE_THERE, Seen, error, names, well

# In the order in which they start, and so in which they are repaired.
SUSPECTS = ("etcd", "kube-apiserver")
RUNS = ("active", "reloading")
# Of the journal: what was said before may be about another time.
RECENT = 10
CERTIFICATE = re.compile(
    r"certificate has expired|expired certificate|bad certificate|not yet valid|certificate verify failed|x509:",
    re.IGNORECASE,
)
DISK = re.compile(r"no space left on device|read-only file system|disk quota exceeded", re.IGNORECASE)
PORT = re.compile(r"listen \w+ \S*?:(?P<port>\d+): bind: address already in use", re.IGNORECASE)
WRONG = re.compile(
    r"unknown flag|flag provided but not defined|invalid argument \"|unknown field|"
    r"error (?:loading|parsing|validating)|couldn't parse",
    re.IGNORECASE,
)
FIELDS = re.compile(r'"(msg|error)":"((?:[^"\\]|\\.)*)')
# etcd's and Go's words for data that it cannot go on with.
DAMAGED = re.compile(
    r"file checksum mismatch|crc mismatch|walpb|invalid database|failed to recover|file is corrupt", re.IGNORECASE
)


@dataclass(frozen=True)
class Sick:
    """One of the suspects on a host, with all that is said of it."""

    host: str
    name: str
    said: dict[str, Any]

    @property
    def words(self) -> list[str]:
        """Its own: how its health was, and its journal."""
        return [line for line in (str(self.said["complaint"]), *self.journal) if line]

    @property
    def journal(self) -> list[str]:
        """Its last complaints, as sentences."""
        return [_sentence(line) for line in self.said.get("journal", [])[-RECENT:]]

    def find(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """The newest words that match."""
        return next((found for line in reversed(self.words) if (found := pattern.search(line))), None)

    @property
    def stopped(self) -> bool:
        """Nobody has it run; what fails again and again is failed or activating."""
        return bool(self.said["active"] == "inactive")


def outage(seen: Seen, now: datetime) -> dict[str, Any]:
    """The cause as a document, empty where an API server answers or no master was asked."""
    try:
        return _outage(seen, now)
    except Exception as problem:  # noqa: BLE001  (as of areas: an answer that nobody thought of hides no other)
        what = f"no API server answers; why is not understood: {type(problem).__name__}: {problem}"
        return _cause("Unknown", "component/kube-apiserver", what, "see what is listed as broken")


def _outage(seen: Seen, now: datetime) -> dict[str, Any]:
    masters = seen.asked("masters")
    there = [host for host in masters if host in seen.hosts]
    # What a server has in its cache it gives without etcd, too; then it is not ready.
    ready = [host for host in seen.answers("api") if well(seen.hosts[host]["components"]["kube-apiserver"])]
    if not masters or ready:
        hosts = [host for host in there if not _asked_through(seen, host)]
        if not ready or len(hosts) < len(there):
            return {}
        verdict = f"an API server runs, but on {names(hosts)} the load balancer through which it is asked does not"
        return _cause("LoadBalancerDown", "component/kube-loadbalancer", verdict, _look(hosts, "kube-loadbalancer"))
    if not there:
        verdict = f"no master can be reached ({names(masters)}): {seen.silent[masters[0]]}"
        todo = f"ssh to {masters[0]}; look at power, console and network"
        return _cause("MastersUnreachable", f"host/{','.join(masters)}", verdict, todo)
    for name in SUSPECTS:
        sick = list(_sick(seen, name))
        if sick and (name != "etcd" or not _led(seen)):
            return _judge(seen, name, sick, now)
    verdict = "API servers say that they are ready, but give no answer"
    said = [f"{host}: {why}" for host, why in seen.errors("api").items()]
    ended = next(_ended(seen, now), None)
    if ended:
        return _certificate(*ended, verdict, said)
    return _cause("ApiServerSilent", "component/kube-apiserver", verdict, _look(there, "kube-apiserver"), said)


def _asked_through(seen: Seen, host: str) -> bool:
    """Whether a host's own way to the API servers works, or it has none."""
    it = seen.hosts[host]["components"].get("kube-loadbalancer")
    return it is None or well(it)


def _led(seen: Seen) -> bool:
    """Whether members of etcd answer and have a leader: then it can be written."""
    return any(it["status"].get("leader") for it in seen.answers("etcd").values())


def _sick(seen: Seen, name: str) -> Iterator[Sick]:
    for host, observed in seen.hosts.items():
        it = observed["components"].get(name)
        if it and not well(it):
            yield Sick(host, name, it)


def _judge(seen: Seen, name: str, sick: list[Sick], now: datetime) -> dict[str, Any]:
    """Those that do not run first: one that runs alone suffers from them."""
    lines = [f"{it.host}: {name}: {_state(it)}" for it in sick]
    down = [it for it in sick if it.said["active"] not in RUNS] or sick
    # Of what somebody has stopped the last words are not why it does not run.
    failing = [it for it in down if not it.stopped]
    lines += [f"{it.host}: {line[:300]}" for it in failing for line in it.journal[-3:]]
    for judge in (_disk, _port, _wrong, _damaged):
        for it in failing:
            found = judge(seen, it, lines)
            if found:
                return found
    if any(it.find(CERTIFICATE) for it in sick if not it.stopped):
        ended = next(_ended(seen, now), None)
        verdict = f"{name} on {names([it.host for it in sick])} is not trusted, or trusts nobody"
        if ended:
            return _certificate(*ended, verdict, lines)
        todo = f"{SITE_THERE.replace('{hosts}', ','.join(it.host for it in sick))} renews and installs certificates"
        return _cause("CertificateRefused", f"component/{name}", f"{verdict}: a certificate does not fit", todo, lines)
    stopped = [it.host for it in down if it.stopped]
    away = [host for host in seen.asked("etcd" if name == "etcd" else "masters") if host in seen.silent]
    if stopped:
        verdict = f"{name} is stopped on {names(stopped)}" + (f", and {names(away)} cannot be reached" if away else "")
        todo = (
            f"on {','.join(stopped)}: systemctl start {name}; journalctl -u {name} -n 50 says who stopped it, and when"
        )
        return _cause(f"{_title(name)}Stopped", f"component/{name}", verdict, todo, lines)
    if away and name == "etcd":
        verdict = f"etcd has no majority: {names(away)} cannot be reached"
        todo = "start those hosts; where they are gone for good: docs/operations/recover-quorum.md (recover_quorum.yml)"
        return _cause("EtcdNoMajority", f"host/{','.join(away)}", verdict, todo, lines)
    hosts = [it.host for it in down]
    verdict = f"{name} does not work on {names(hosts)}: {down[0].words[-1][:300] if down[0].words else _state(down[0])}"
    return _cause(f"{_title(name)}Down", f"component/{name}", verdict, _look(hosts, name), lines)


def _disk(seen: Seen, it: Sick, lines: list[str]) -> dict[str, Any] | None:
    """Full, or mounted read-only: by its own words, or where its data lies."""
    found, disks = it.find(DISK), seen.hosts[it.host]["disks"]
    bad = {disk["path"]: disk for disk in ([] if error(disks) else disks) if _unusable(disk)}
    # Of a file system the first of our paths is known; etcd's is its own, or that of all.
    data = "/var/lib/etcd" if any(disk["path"] == "/var/lib/etcd" for disk in disks) else "/"
    own = [bad[data]] if it.name == "etcd" and data in bad else list(bad.values()) if found else []
    if not found and not own:
        return None
    path = own[0]["path"] if own else "/"
    full = own and not own[0]["read_only"]
    what = "is full" if full or (not own and found and "space" in found[0]) else "can only be read"
    verdict = f"{it.name} on {it.host} cannot write: its disk ({path}) {what}"
    todo = (
        f"on {it.host}: df -h {path}; df -i {path}; du -xh --max-depth=3 {path} | sort -h | tail; remove what is large"
    )
    if what == "can only be read":
        todo = f"on {it.host}: dmesg | tail; then mount -o remount,rw {path}, or fsck"
    return _cause("DiskFull" if "full" in what else "DiskReadOnly", f"disk/{it.host}:{path}", verdict, todo, lines)


def _unusable(disk: dict[str, Any]) -> bool:
    return bool(disk["read_only"] or disk["free_bytes"] < 2**20 or (disk["used_inodes"] and not disk["free_inodes"]))


def _port(_seen: Seen, it: Sick, lines: list[str]) -> dict[str, Any] | None:
    found = it.find(PORT)
    if not found:
        return None
    port = found["port"]
    owner = next((line for line in it.said.get("listeners", []) if re.search(rf":{port}\s", line)), "")
    program = re.search(r'\(\("([^"]+)",pid=(\d+)', owner)
    who = f"{program[1]} (process {program[2]})" if program else "another program"
    verdict = f"{it.name} on {it.host} cannot start: {who} has its port {port}"
    todo = f"on {it.host}: ss -ltnp sport = :{port}; end what listens there, and {it.name} starts by itself"
    return _cause(
        "PortTaken", f"port/{it.host}:{port}", verdict, todo, [*lines, *([f"{it.host}: {owner}"] if owner else [])]
    )


def _wrong(_seen: Seen, it: Sick, lines: list[str]) -> dict[str, Any] | None:
    if it.said["active"] in RUNS or it.find(PORT) or not it.find(WRONG):
        return None
    line = next(line for line in reversed(it.words) if WRONG.search(line))
    verdict = f"{it.name} on {it.host} does not accept its configuration: {line[:300]}"
    todo = (
        f"on {it.host}: systemctl cat {it.name}; {SITE_THERE.replace('{hosts}', it.host)} puts back what it should be"
    )
    return _cause("ConfigurationWrong", f"component/{it.name}", verdict, todo, lines)


def _damaged(_seen: Seen, it: Sick, lines: list[str]) -> dict[str, Any] | None:
    if it.name != "etcd" or it.said["active"] in RUNS or not it.find(DAMAGED):
        return None
    verdict = f"etcd on {it.host} cannot read its data: the files are damaged"
    todo = f"replace_etcd_member.yml -e node={it.host} where a majority is well; else docs/operations/recover-quorum.md"
    return _cause("EtcdDataDamaged", f"host/{it.host}", verdict, todo, lines)


def _ended(seen: Seen, now: datetime) -> Iterator[tuple[str, str, datetime]]:
    """Certificates of the suspects that have ended: host, file and when."""
    for host, observed in seen.hosts.items():
        files = observed["certificates"]["files"]
        for it in [] if error(files) else files:
            if set(it["components"]) & set(SUSPECTS):
                end = x509.load_der_x509_certificate(base64.b64decode(it["der"])).not_valid_after_utc
                if end <= now:
                    yield host, str(it["path"]), end


def _certificate(host: str, path: str, end: datetime, what: str, lines: list[str]) -> dict[str, Any]:
    verdict = f"the certificate {path} on {host} ended on {end:%Y-%m-%d %H:%M} UTC: {what}"
    todo = "ansible-playbook … site.yml renews and installs certificates"
    return _cause("CertificateEnded", f"certificate/{host}:{path}", verdict, todo, lines)


def _state(it: Sick) -> str:
    if it.said["active"] not in RUNS:
        return f"{it.said['unit']} is {it.said['active']} ({it.said['sub']})"
    return " ".join(str(it.said["complaint"]).split())[:300]


def _sentence(line: str) -> str:
    """What a line of etcd's, which are JSON, says."""
    said = dict(FIELDS.findall(line)) if line.startswith("{") else {}
    return ": ".join(said[key] for key in ("msg", "error") if key in said) or line


def _title(name: str) -> str:
    return {"etcd": "Etcd", "kube-apiserver": "ApiServer"}[name]


def _look(hosts: list[str], name: str) -> str:
    return f"on {','.join(hosts)}: systemctl status {name}; journalctl -u {name} -n 50"


def _cause(code: str, about: str, verdict: str, todo: str, lines: list[str] | None = None) -> dict[str, Any]:
    """As a cause of `why`: code and object are for programs and stay the same."""
    evidence = list(dict.fromkeys(lines or []))[:12]
    return {"code": code, "object": about, "verdict": verdict, "todo": todo, "evidence": evidence}
