# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with rules, scrapes, receivers and routes; no error shows a value that may be a secret."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from .model import Error, Host, Inventory
from .outside import of_outside, twice, unused

try:
    import promql_parser
except ImportError:
    HAS_PARSER = False  # Only those need it who have rules of their own.
else:
    HAS_PARSER = True

SERVICE = "monitoring"
RULES, SCRAPES, RECEIVERS, ROUTE, HEARTBEAT = (
    f"monitoring_{name}" for name in ("rules", "scrape_configs", "receivers", "route", "heartbeat_url")
)
OF_MONITORING = (RULES, SCRAPES, RECEIVERS, ROUTE, HEARTBEAT, "monitoring_alertmanager_config")
# The oldest releases whose packages have all that the role uses (TLS between Alertmanagers).
PACKAGED = {"debian": ("12", "13"), "ubuntu": ("24.04",)}
GROUP_KEYS = {"name", "interval", "limit", "rules"}
RULE_KEYS = {"alert", "record", "expr", "for", "labels", "annotations"}
DURATION = re.compile(r"(?=\d)(\d+y)?(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?|0")
# Kinds of messages of Alertmanager 0.25, the oldest that is used.
KINDS = {
    f"{kind}_configs"
    for kind in (
        *("discord", "email", "opsgenie", "pagerduty", "pushover", "slack", "sns", "telegram"),
        *("victorops", "webex", "webhook", "wechat"),
    )
}
OWN_JOBS = ("gate", "kubernetes", "outside", "probe")
OWN_RECEIVERS = ("heartbeat", "nobody")
URL = re.compile(r"https?://[^\s/]+\S*")


def packaged(host: Host, cluster: Inventory) -> Iterator[Error]:
    """The host's distribution has what is installed from it."""
    name, release = host.facts["distribution"], host.facts["distribution_version"]
    if SERVICE in cluster.settings.outside_services and release not in PACKAGED.get(name, ()):
        fix = f"install Debian 12 or newer or Ubuntu 24.04 on it, or take {SERVICE} off cluster_outside_services"
        yield Error(f"monitoring has no packages for {name} {release}", fix)


def in_use(host: Host, cluster: Inventory) -> Iterator[Error]:
    """Nobody sets what does nothing."""
    for variable in OF_MONITORING:
        yield from unused(cluster, SERVICE, variable, of_outside(host, cluster, variable, None))


def rules(host: Host, cluster: Inventory) -> Iterator[Error]:
    """Groups of rules that Prometheus will take."""
    groups = of_outside(host, cluster, RULES, [])
    if groups and not HAS_PARSER:
        fix = "install it for Ansible's Python (pip install promql-parser)"
        yield Error("the control node lacks promql-parser, with which rules are checked", fix, RULES)
    for group in groups:
        name = group.get("name")
        if not isinstance(name, str) or not isinstance(group.get("rules"), list) or group.keys() - GROUP_KEYS:
            fix = f"give each a name and rules, and no keys but {', '.join(sorted(GROUP_KEYS))}"
            yield Error(f"group {name!r} is no group of rules", fix, RULES)
            continue
        for number, rule in enumerate(group["rules"], 1):
            if problem := _rule_problem(rule):
                yield Error(f"rule {number} of group {name} {problem}", "write it as in Prometheus's manual", RULES)
    yield from twice(RULES, "group", [group.get("name") for group in groups])


def _rule_problem(rule: Any) -> str:
    """What is wrong with a rule, empty where nothing is."""
    if not isinstance(rule, Mapping) or ("alert" in rule) == ("record" in rule):
        return "has not exactly one of alert and record"
    if unknown := sorted(rule.keys() - RULE_KEYS):
        return f"has the key {unknown[0]}, which no rule has"
    if not isinstance(rule.get("expr"), str):
        return "has no expr"
    if not DURATION.fullmatch(str(rule.get("for", "0"))):
        return f"waits for {rule['for']!r}, which is no duration such as 5m"
    if not all(isinstance(rule.get(key, {}), Mapping) for key in ("labels", "annotations")):
        return "has labels or annotations that are no dictionary"
    error = expression_error(rule["expr"])
    return f"has a wrong expr: {error}" if error else ""


def expression_error(expression: str) -> str:
    """What is wrong with an expression of PromQL, empty where nothing is or where nobody can say."""
    try:
        if HAS_PARSER:
            promql_parser.parse(expression)
    except ValueError as error:
        return " ".join(str(error).split())
    return ""


def scrapes(host: Host, cluster: Inventory) -> Iterator[Error]:
    """Each has a name of its own."""
    names = [config.get("job_name") for config in of_outside(host, cluster, SCRAPES, [])]
    if None in names:
        yield Error("one has no job_name", "give it one", SCRAPES)
    for name in OWN_JOBS:
        if name in names:
            yield Error(f"job {name} is there by itself", "choose another job_name", SCRAPES)
    yield from twice(SCRAPES, "job", [name for name in names if name])


def receivers(host: Host, cluster: Inventory) -> Iterator[Error]:
    """Each has a name of its own, and says by which way it is told."""
    given = of_outside(host, cluster, RECEIVERS, [])
    for receiver in given:
        name = receiver.get("name")
        if not isinstance(name, str) or not name:
            yield Error("a receiver has no name", "give it one", RECEIVERS)
            continue
        if name in OWN_RECEIVERS:
            yield Error(f"receiver {name} is there by itself", "choose another name", RECEIVERS)
        for kind in sorted(receiver.keys() - KINDS - {"name"}):
            near = difflib.get_close_matches(kind, KINDS, 1)
            fix = f"did you mean {near[0]}?" if near else f"use some of {', '.join(sorted(KINDS))}"
            yield Error(f"receiver {name} has {kind}, which Alertmanager does not know", fix, RECEIVERS)
        for kind in sorted(receiver.keys() & KINDS):
            if problem := _way_problem(kind, receiver[kind]):
                yield Error(f"{kind} of receiver {name} {problem}", "write it as in Alertmanager's manual", RECEIVERS)
    yield from twice(RECEIVERS, "receiver", [receiver.get("name") for receiver in given])
    heartbeat = of_outside(host, cluster, HEARTBEAT, "")
    if heartbeat and not URL.fullmatch(heartbeat):
        yield Error("it is no URL", "write it as https://heartbeat.example.org/...", HEARTBEAT)


def _way_problem(kind: str, entries: Any) -> str:
    """What is wrong with one way of telling a receiver; webhook, mail and Slack are looked at more closely."""
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, Mapping) for entry in entries):
        return "is no list of dictionaries"
    for entry in entries:
        if kind == "webhook_configs" and not URL.fullmatch(str(entry.get("url", ""))):
            return "has no url"
        if kind == "email_configs" and "@" not in str(entry.get("to", "")):
            return "has no address in `to`"
        if kind == "slack_configs" and not URL.fullmatch(str(entry.get("api_url", "https://global"))):
            return "has an api_url that is no URL"
    return ""


def routes(host: Host, cluster: Inventory) -> Iterator[Error]:
    """They lead to receivers that are there."""
    known = {str(receiver.get("name")) for receiver in of_outside(host, cluster, RECEIVERS, [])} | {OWN_RECEIVERS[1]}
    for name in dict.fromkeys(_named(of_outside(host, cluster, ROUTE, {}))):
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            fix = f"did you mean {near[0]}?" if near else f"add it to {RECEIVERS}"
            yield Error(f"there is no receiver {name}", fix, ROUTE)


def _named(route: Any) -> Iterator[str]:
    """Receivers of a route and of all below it."""
    if isinstance(route, Mapping):
        if "receiver" in route:
            yield str(route["receiver"])
        for below in route.get("routes") or []:
            yield from _named(below)
