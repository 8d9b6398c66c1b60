# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what is known to what the page shows. Nothing here asks or writes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from .asking import FORMAT, VERSIONS, Answer
from .common import DAY, Settings, moment, span

# What is written beside the colour.
OK, SILENT, DOWN, UNKNOWN = "ok", "silent", "down", "unknown"
WELL, WARNING, CRITICAL = "well", "warning", "critical"
# Of a component that is no unit, and of the machine itself.
COREDNS, SYSTEM, KERNEL = "coredns", "operating system", "kernel"
NAMES = {"node": "prometheus-node-exporter", "alertmanager": "prometheus-alertmanager", "coredns": COREDNS}
OF_HOST = {"node_os_info": SYSTEM, "node_uname_info": KERNEL}
SOON, NOW = 30, 7
NAMED = 12  # Hosts in one row.
RUNBOOKS = "/docs/runbooks/"


def remember(settings: Settings, known: Mapping[str, Any], answer: Answer, now: float) -> dict[str, Any]:
    """What is written down for the time when nobody answers; hosts that are no more are forgotten."""
    if answer.error:
        return {**known, "format": FORMAT, "silent_since": known.get("silent_since") or now}
    hosts = {host["name"]: {it["name"] for it in host["components"]} for host in settings.hosts}
    state: dict[str, Any] = {"format": FORMAT, "answered": now, "silent_since": None, "alerts": answer.alerts}
    for kind, found in (("versions", versions(answer)), ("certificates", certificates(settings, answer))):
        state[kind] = {name: dict(known.get(kind, {}).get(name, {})) for name in hosts}
        for host, component, value in found:
            if host in hosts:
                state[kind][host][component] = [value, now]
        for host, components in state[kind].items():
            stay = hosts[host] | {COREDNS, SYSTEM, KERNEL}
            state[kind][host] = {name: it for name, it in components.items() if name in stay}
    return state


def versions(answer: Answer) -> Iterable[tuple[str, str, str]]:
    """Host, component and version of everything that says its own."""
    for labels, _value in answer.series:
        metric = labels.get("__name__", "")
        if label := VERSIONS.get(metric):
            name = OF_HOST.get(metric) or NAMES.get(labels.get("job", ""), labels.get("job", ""))
            yield labels.get("instance", ""), name, labels.get(label, "")


def certificates(settings: Settings, answer: Answer) -> Iterable[tuple[str, str, float]]:
    """Host, component and end of the certificate that a server showed."""
    by_job = {job: it["name"] for host in settings.hosts for it in host["components"] for job in it["jobs"]}
    by_target = {
        it["certificate"]: it["name"] for host in settings.hosts for it in host["components"] if it["certificate"]
    }
    for labels, value in answer.series:
        if labels.get("__name__") == "probe_ssl_earliest_cert_expiry":
            # flanneld has none of its own: its host's gate shows it.
            job, target = labels.get("job", ""), labels.get("target", "")
            name = "" if job == "probe-flanneld" else by_target.get(target) or by_job.get(job, "")
            if name:
                yield labels.get("instance", ""), name, value


class Said:
    """What Prometheus says of hosts, for looking up."""

    def __init__(self, answer: Answer) -> None:
        self.jobs: dict[tuple[str, str], list[float]] = defaultdict(list)
        self.units: dict[tuple[str, str], str] = {}
        self.leaders: set[str] = set()
        for labels, value in answer.series:
            metric, host, job = labels.get("__name__"), labels.get("instance", ""), labels.get("job", "")
            if metric == "node_systemd_unit_state":
                self.units[host, labels.get("name", "").removesuffix(".service")] = labels.get("state", "")
            # Of a probe `up` is about the prober.
            elif metric == ("probe_success" if job.startswith("probe-") else "up"):
                self.jobs[host, job].append(value)
            elif metric == "etcd_server_is_leader" and value:
                self.leaders.add(host)


def topology(settings: Settings, answer: Answer) -> list[dict[str, Any]]:
    """Each host with the state of each component, in the order of the inventory."""
    said, result = Said(answer), []
    for host in settings.hosts:
        name = host["name"]
        components = [
            {
                "name": it["name"],
                "state": component_state(
                    [value for job in it["jobs"] for value in said.jobs[name, job]],
                    said.units.get((name, it["name"]), ""),
                ),
                "leads": it["name"] == "etcd" and name in said.leaders,
            }
            for it in host["components"]
        ]
        seen = component_state(said.jobs[name, "node"], "")
        result.append(
            {**host, "state": seen, "components": components, "worst": worst(str(it["state"]) for it in components)}
        )
    return result


def component_state(answers: list[float], unit: str) -> str:
    """Whether it answers who asks it; else whether its unit runs, as far as the host says."""
    if unit == "failed":
        return DOWN
    if answers:
        return OK if all(answers) else SILENT if unit == "active" else DOWN
    return {"active": OK, "activating": SILENT}.get(unit, UNKNOWN)


def worst(states: Iterable[str]) -> str:
    """The state that is named first when there are several."""
    found = set(states)
    return next((state for state in (DOWN, SILENT, UNKNOWN) if state in found), OK)


def shown_alerts(alerts: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Those that somebody should know of, the worst first; who waits for its time is there as pending."""
    rank = {CRITICAL: 0, WARNING: 1}
    found = []
    for alert in alerts:
        labels, notes = alert.get("labels", {}), alert.get("annotations", {})
        if labels.get("severity") == "none":
            continue
        about = {key: value for key, value in labels.items() if key not in ("alertname", "severity", "job")}
        found.append(
            {
                "name": labels.get("alertname", ""),
                "severity": labels.get("severity", ""),
                "firing": alert.get("state") == "firing",
                "summary": notes.get("summary") or ", ".join(f"{key} {value}" for key, value in sorted(about.items())),
                "since": str(alert.get("activeAt", ""))[:16].replace("T", " "),
                "runbook": runbook(notes.get("runbook_url", "")),
            }
        )
    return sorted(found, key=lambda it: (not it["firing"], rank.get(it["severity"], 2), it["name"], it["summary"]))


def runbook(url: str) -> str:
    """Ours are beside the page; of others only what a browser follows is a link."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https"):
        return ""
    _before, ours, page = parts.path.partition(RUNBOOKS)
    if ours and page.endswith(".md"):
        return f"docs/runbooks/{page.removesuffix('.md')}.html" + (f"#{parts.fragment}" if parts.fragment else "")
    return url


def version_rows(settings: Settings, state: Mapping[str, Any], now: float) -> list[dict[str, Any]]:
    """One row for each component and version, with the hosts that have it; who says none has what was installed."""
    rows: dict[tuple[str, str], list[str]] = defaultdict(list)
    for host, components in state.get("versions", {}).items():
        for name, (version, seen) in components.items():
            age = now - seen
            rows[name, version].append(f"{host} ({span(age)} ago)" if age > 5 * 60 else host)
    for host in settings.hosts:
        silent = [
            it["name"] for it in host["components"] if it["name"] not in state.get("versions", {}).get(host["name"], {})
        ]
        for name in silent:
            if name in settings.versions:
                rows[name, f"{settings.versions[name]} (as installed)"].append(host["name"])
    last = {SYSTEM: 1, KERNEL: 2}
    return [
        {"name": name, "version": version, "hosts": hosts[:NAMED], "more": len(hosts[NAMED:])}
        for (name, version), hosts in sorted(rows.items(), key=lambda it: (last.get(it[0][0], 0), it[0]))
    ]


def certificate_rows(state: Mapping[str, Any], now: float) -> list[dict[str, Any]]:
    """Those that end first come first."""
    rows = [
        {
            "host": host,
            "name": name,
            "days": int((ends - now) // DAY),
            "ends": moment(ends)[:10],
            "state": DOWN if ends - now < NOW * DAY else SILENT if ends - now < SOON * DAY else OK,
        }
        for host, components in state.get("certificates", {}).items()
        for name, (ends, _seen) in components.items()
    ]
    return sorted(rows, key=lambda row: (row["days"], row["name"], row["host"]))


def headline(
    hosts: list[dict[str, Any]], alerts: list[dict[str, Any]], state: Mapping[str, Any], error: str
) -> tuple[str, str]:
    """How everything is: a level, and a sentence."""
    if error:
        since = moment(state["silent_since"])
        last = f"; it last did at {moment(state['answered'])}" if state.get("answered") else ""
        return UNKNOWN, f"Prometheus has not answered since {since}{last}. What is below from it is as old as that."
    firing = [it for it in alerts if it["firing"]]
    critical = [it["name"] for it in firing if it["severity"] == CRITICAL]
    api = [it["state"] for host in hosts for it in host["components"] if it["name"] == "kube-apiserver"]
    if api and OK not in api:
        return CRITICAL, "No API server answers. What runs on the nodes goes on; nobody can change it."
    if critical:
        return CRITICAL, f"Critical: {', '.join(dict.fromkeys(critical))}."
    down = [host["name"] for host in hosts if host["state"] == DOWN]
    if down:
        return WARNING, f"{', '.join(down)} {'does' if len(down) == 1 else 'do'} not answer."
    wrong = [f"{it['name']} on {host['name']}" for host in hosts for it in host["components"] if it["state"] != OK]
    if firing:
        return WARNING, f"Warnings: {', '.join(dict.fromkeys(it['name'] for it in firing))}."
    if wrong:
        return WARNING, f"Not well: {', '.join(wrong[:4])}{f' and {len(wrong) - 4} more' if len(wrong) > 4 else ''}."
    return WELL, "Everything answers, and no alert fires."
