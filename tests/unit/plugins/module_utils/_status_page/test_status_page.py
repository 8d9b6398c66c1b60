# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The status page says what Prometheus and backups say, as it is and when nobody answers, and is one whole page."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._status_page import program, records, seeing
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._status_page.asking import ask
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._status_page.common import Settings, size, span
from ansible_collections.selfhosted.kubernetes.tests.unit.plugins.module_utils._status_page.conftest import (
    NOW,
    alert,
    series,
)

ROOT = Path(__file__).resolve().parents[5]
RUNBOOK = "https://github.com/selfhosted/kubernetes/tree/main/docs/runbooks/api.md#kubeapidown"
NOWHERE = "http://127.0.0.1:9"
VOID = {"meta", "link", "br", "hr", "img", "line", "polyline", "circle"}
Serve = Callable[[list[dict[str, Any]], list[dict[str, Any]]], str]


class Page(HTMLParser):
    """What a browser finds in a page; a tag that is not closed is an error."""

    def __init__(self, text: str) -> None:
        """Read all of it."""
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.texts: list[str] = []
        self.tags: Counter[str] = Counter()
        self.classes: Counter[str] = Counter()
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember what is open."""
        given = dict(attrs)
        # The page's policy lets no browser apply them.
        assert not {"style", "onclick", "onload"} & set(given)
        self.tags[tag] += 1
        self.classes.update((given.get("class") or "").split())
        self.links += [given["href"] or ""] if tag == "a" else []
        self.ids += [given["id"] or ""] if "id" in given else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """What was opened last."""
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """What is read."""
        if not {"style", "script"} & set(self.open):
            self.texts.append(data)

    @property
    def text(self) -> str:
        """All of it, in one line."""
        return " ".join(" ".join(self.texts).split())


def built(settings: Settings, now: float = NOW) -> Page:
    """The page, made as the timer does."""
    program.build(settings, now)
    return Page((settings.www / "index.html").read_text(encoding="utf-8"))


def states(settings: Settings) -> dict[str, dict[str, str]]:
    """Components' states by host."""
    hosts = seeing.topology(settings, ask(settings))
    return {host["name"]: {it["name"]: it["state"] for it in host["components"]} for host in hosts}


def test_all_is_well(settings: Settings, serve: Serve) -> None:
    """Every host with every component, versions, certificates, and no alert."""
    settings = replace(settings, prometheus=serve(series(settings), [alert("Watchdog", "none")]))
    page = built(settings)
    assert "Everything answers, and no alert fires." in page.text
    assert page.classes["well"] == 1
    assert {state for host in states(settings).values() for state in host.values()} == {"ok"}
    assert "kubelet 1.37.2 (as installed)" not in page.text
    for word in (
        "registry-front 3.1.2 (as installed) o1",
        "m1",
        "192.0.2.2",
        "kube-apiserver",
        "registry-front",
        "v1.37.2 m1, w1",
        "100 days",
    ):
        assert word in page.text
    assert "Watchdog" not in page.text
    assert "https://192.0.2.3:5000/v2/_catalog" in page.links


def test_a_host_is_down(settings: Settings, serve: Serve) -> None:
    """Its components are down, others are not, and the alert leads to its runbook beside the page."""
    alerts = [
        alert("HostDown", "warning", "m1 does not answer."),
        alert("KubeAPIDown", "critical", "Nobody serves.", url=RUNBOOK),
    ]
    settings = replace(settings, prometheus=serve(series(settings, down="m1"), alerts))
    found = states(settings)
    assert set(found["m1"].values()) - {"unknown"} == {"down"}
    assert set(found["w1"].values()) == set(found["o1"].values()) == {"ok"}
    page = built(settings)
    assert page.classes["critical"] >= 1
    assert "No API server answers." in page.text
    assert page.text.index("KubeAPIDown") < page.text.index("HostDown")
    assert "docs/runbooks/api.html#kubeapidown" in page.links


@pytest.mark.parametrize(
    ("answers", "unit", "state"),
    [
        ([1.0], "active", "ok"),
        ([1.0], "", "ok"),
        ([1.0, 0.0], "active", "silent"),
        ([0.0], "active", "silent"),
        ([0.0], "activating", "down"),
        ([0.0], "", "down"),
        ([1.0], "failed", "down"),
        ([], "active", "ok"),
        ([], "activating", "silent"),
        ([], "", "unknown"),
    ],
)
def test_the_state_of_a_component(answers: list[float], unit: str, state: str) -> None:
    """By whether it answers and whether its unit runs."""
    assert seeing.component_state(answers, unit) == state


@pytest.mark.parametrize(
    ("alerts", "level", "words"),
    [
        ([], "well", "Everything answers"),
        ([alert("DiskNearlyFull", "warning")], "warning", "Warnings: DiskNearlyFull."),
        ([alert("DiskFull", "critical"), alert("B", "warning")], "critical", "Critical: DiskFull."),
        ([alert("DiskFull", "critical", state="pending")], "well", "Everything answers"),
    ],
)
def test_the_sentence_is_about_the_worst(
    settings: Settings, serve: Serve, alerts: list[dict[str, Any]], level: str, words: str
) -> None:
    """And what only may become an alert is not news yet."""
    page = built(replace(settings, prometheus=serve(series(settings), alerts)))
    assert page.classes[level] >= 1
    assert words in page.text


def test_nobody_answers_the_first_time(settings: Settings) -> None:
    """There is a page that says so, with all hosts, and nothing is made up."""
    page = built(replace(settings, prometheus=NOWHERE))
    assert "Prometheus has not answered since 2026-05-28 20:26 UTC. " in page.text
    assert page.text.count("Not known.") == 2
    assert "kubelet 1.37.2 (as installed) m1, w1" in page.text
    assert page.classes["ok"] == 0
    assert page.classes["down"] == 0
    assert "kube-apiserver" in page.text


def test_nobody_answers_any_more(settings: Settings, serve: Serve) -> None:
    """Since when, and what was known last, until it answers again."""
    good = replace(settings, prometheus=serve(series(settings), [alert("DiskFull", "critical", "It is full.")]))
    built(good)
    silent = replace(settings, prometheus=NOWHERE)
    for later in (60, 3600):
        page = built(silent, NOW + later)
        assert "has not answered since 2026-05-28 20:27 UTC; it last did at 2026-05-28 20:26 UTC." in page.text
        assert "As of 2026-05-28 20:26 UTC." in page.text
        assert "It is full." in page.text
    assert "v1.37.2 m1 (60 min ago), w1 (60 min ago)" in page.text
    again = built(good, NOW + 7200)
    assert "has not answered" not in again.text
    assert json.loads(Path(settings.data, "state.json").read_text(encoding="utf-8"))["silent_since"] is None


@pytest.mark.parametrize("body", ["no JSON", "[]", '{"data": 5}', '{"data": {"result": [{"metric": 1}]}}'])
def test_what_is_no_answer_is_an_error(settings: Settings, serve: Serve, body: str, monkeypatch: Any) -> None:
    """Of something else on Prometheus's port."""
    monkeypatch.setattr(json, "dumps", lambda _document: body)
    settings = replace(settings, prometheus=serve([], []))
    assert ask(settings).error


def test_what_was_written_down_may_be_broken(settings: Settings, serve: Serve) -> None:
    """As after a full disk."""
    settings = replace(settings, prometheus=serve(series(settings), []))
    Path(settings.data).mkdir()
    for text in ("", "{", "[]", '{"versions": 5, "format": 0}'):
        Path(settings.data, "state.json").write_text(text, encoding="utf-8")
        assert "Everything answers" in built(settings).text


def test_nothing_that_is_said_is_markup(settings: Settings, serve: Serve) -> None:
    """Summaries, labels and names are shown as they are."""
    evil = "<script>alert(1)</script>\"'&"
    found = series(settings)
    found.append(
        {
            "metric": {"__name__": "etcd_server_version", "instance": "m1", "job": "etcd", "server_version": evil},
            "value": [NOW, "1"],
        }
    )
    alerts = [alert(evil, evil, evil, url="javascript:alert(1)"), alert("B", "warning", url="https://wiki/x?a=1&b=2")]
    settings = replace(
        settings, cluster=evil, links=[{"name": evil, "url": "https://x/"}], prometheus=serve(found, alerts)
    )
    write_records(
        settings, "runs", [{"time": NOW, "result": evil, "errors": [evil], "seconds": 1, "targets": {evil: 1}}]
    )
    page = built(settings)
    assert page.tags["script"] == 1
    assert page.text.count("alert(1)") >= 6
    assert not [link for link in page.links if link.startswith("javascript")]
    assert "https://wiki/x?a=1&b=2" in page.links


@pytest.mark.parametrize(
    ("url", "link"),
    [
        (RUNBOOK, "docs/runbooks/api.html#kubeapidown"),
        ("https://github.com/selfhosted/kubernetes/tree/main/docs/runbooks/etcd.md", "docs/runbooks/etcd.html"),
        ("https://wiki.example.org/shop#down", "https://wiki.example.org/shop#down"),
        ("javascript:alert(1)", ""),
        ("http://[", ""),
        ("", ""),
    ],
)
def test_runbooks(url: str, link: str) -> None:
    """Ours are beside the page, others where they are."""
    assert seeing.runbook(url) == link


def write_records(settings: Settings, name: str, entries: list[Any]) -> None:
    """As the backup's program does."""
    text = "".join((it if isinstance(it, str) else json.dumps(it)) + "\n" for it in entries)
    Path(settings.records, f"{name}.jsonl").write_text(text, encoding="utf-8")


def run(hours: float, result: str = "success", **more: Any) -> dict[str, Any]:
    """A record of a backup, some hours ago."""
    return {
        "time": NOW - hours * 3600,
        "result": result,
        "errors": [],
        "seconds": 4.2,
        "snapshot_bytes": 3 * 2**20,
        **more,
    }


def test_backups_and_drills_are_told_and_drawn(settings: Settings) -> None:
    """The last one, the last good one, and all of them over time."""
    write_records(
        settings,
        "runs",
        [*(run(hour, objects=400) for hour in range(100, 1, -1)), run(1, "failed", errors=["no etcd"])],
    )
    drills = [
        {
            "time": NOW - day * 86400,
            "result": "success",
            "differences": [],
            "seconds": 14,
            "objects": {"pods": 7, "secrets": 2},
        }
        for day in (3, 2, 1)
    ]
    write_records(settings, "drills", ["", "{broken", *drills])
    page = built(replace(settings, prometheus=NOWHERE))
    assert "2026-05-28 19:26 UTC, 60 min ago: failed" in page.text
    assert "no etcd" in page.text
    assert "objects 9" in page.text
    assert page.tags["svg"] == 4
    assert page.tags["circle"] == 2 * records.SHOWN + 2 * 3
    assert page.classes["bad"] == 2
    story = {it["title"]: it["state"] for it in records.story(settings, NOW)}
    assert story == {"Backups": "down", "Drills with backups": "ok"}


def test_rebuilds_are_told_where_there_were_any(settings: Settings) -> None:
    """They are of labs and staging."""
    write_records(settings, "rebuilds", [{"time": NOW - 1e7, "result": "success", "seconds": 95, "rpo_seconds": 300}])
    told = records.story(settings, NOW)[2]
    assert (told["title"], told["state"]) == ("Rebuilds of all masters from a backup", "ok")
    assert {("took", "95 s"), ("lost", "5 min")} <= set(told["facts"])
    assert "Rebuilds of all masters from a backup" in built(replace(settings, prometheus=NOWHERE)).text


@pytest.mark.parametrize(("hours", "state"), [(1, "ok"), (25, "ok"), (27, "down")])
def test_an_old_backup_is_not_well(settings: Settings, hours: float, state: str) -> None:
    """As the alert says."""
    write_records(settings, "runs", [run(hours)])
    assert records.story(settings, NOW)[0]["state"] == state


def test_a_cluster_may_have_no_backups(settings: Settings) -> None:
    """Then the page says so; and without a first one there is none yet."""
    page = built(replace(settings, prometheus=NOWHERE, backups=False))
    assert "The cluster has no backups" in page.text
    assert [it["state"] for it in records.story(settings, NOW)] == ["unknown", "unknown"]


def test_a_plot_is_within_its_frame() -> None:
    """Also of one value, and of none that differ."""
    for entries in ([run(1)], [run(2), run(1)], [run(9, seconds=0), run(3, seconds=1e9), run(1, "failed")]):
        drawn = records.plot("seconds", entries, lambda it: it["seconds"], str)
        assert len(drawn["points"]) == len(entries)
        for point in drawn["points"]:
            assert records.LEFT <= point["x"] <= records.WIDTH
            assert records.TOP <= point["y"] <= records.HEIGHT - records.BOTTOM
    assert records.plot("seconds", [{"time": 1}], lambda it: it.get("seconds"), str) == {}


def test_drawings_are_xml(settings: Settings) -> None:
    """Each by itself."""
    write_records(settings, "runs", [run(2), run(1)])
    built(replace(settings, prometheus=NOWHERE))
    text = (settings.www / "index.html").read_text(encoding="utf-8")
    drawings = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(drawings) == 2
    for drawing in drawings:
        assert ET.fromstring(drawing).attrib["aria-label"]


def test_hosts_that_are_no_more_are_forgotten(settings: Settings, serve: Serve) -> None:
    """With their versions and certificates."""
    address = serve(series(settings), [])
    built(replace(settings, prometheus=address))
    fewer = replace(settings, prometheus=NOWHERE, hosts=[host for host in settings.hosts if host["name"] != "w1"])
    built(replace(fewer, prometheus=address), NOW + 60)
    page = built(fewer, NOW + 120)
    assert "w1" not in page.text


def test_certificates_are_those_of_components(settings: Settings, serve: Serve) -> None:
    """Named by what serves with them, the first to end first; what is near its end is coloured."""
    found = series(settings)
    ends = {"m1": NOW + 6 * 86400, "w1": NOW + 20 * 86400}
    for it in found:
        if it["metric"]["__name__"] == "probe_ssl_earliest_cert_expiry" and it["metric"]["target"].endswith(":10250"):
            it["value"][1] = str(ends[it["metric"]["instance"]])
    settings = replace(settings, prometheus=serve(found, []))
    rows = seeing.certificate_rows(seeing.remember(settings, {}, ask(settings), NOW), NOW)
    assert [(row["name"], row["host"], row["days"], row["state"]) for row in rows[:3]] == [
        ("kubelet", "m1", 6, "down"),
        ("kubelet", "w1", 20, "silent"),
        ("etcd", "m1", 100, "ok"),
    ]


def test_the_page_needs_nothing_from_elsewhere(settings: Settings, serve: Serve) -> None:
    """No address is loaded, and its policy names exactly its own script and style."""
    built(replace(settings, prometheus=serve(series(settings), [])))
    text = (settings.www / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"@import|url\(|\bsrc=|<link rel=\"stylesheet", text)
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    policy = policy.replace("&#39;", "'")
    (style,) = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert policy == (
        f"default-src 'none'; img-src data:; style-src {program.digest(style)}; script-src {program.digest(script)}"
    )
    assert "prefers-color-scheme: dark" in style
    assert 'name="viewport"' in text


def test_documentation_lies_beside_it(settings: Settings) -> None:
    """All of it, with links that lead somewhere; what is gone goes, and what did not change is left alone."""
    settings = replace(settings, docs=str(ROOT / "docs"))
    program.documentation(settings)
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in settings.www.rglob("*.html")}
    assert len(pages) == len(list((ROOT / "docs").rglob("*.md"))) > 20
    (settings.www / "index.html").touch()
    broken = []
    for path, page in pages.items():
        for link in (link for link in page.links if not re.match(r"\w+:", link)):
            name, _, anchor = link.partition("#")
            target = (path.parent / name).resolve() if name else path.resolve()
            known = pages.get(settings.www / target.relative_to(settings.www.resolve()))
            if target.name != "index.html" and (known is None or (anchor and anchor not in known.ids)):
                broken.append(f"{path.relative_to(settings.www)}: {link}")
    assert broken == []
    before = {path: path.stat().st_mtime_ns for path in pages}
    (settings.www / "docs/old.html").touch()
    program.documentation(settings)
    assert {
        path: path.stat().st_mtime_ns for path in settings.www.rglob("*.html") if path.name != "index.html"
    } == before


def test_every_alert_has_its_runbook_beside_the_page(settings: Settings) -> None:
    """By the anchor that the alert names."""
    program.documentation(replace(settings, docs=str(ROOT / "docs")))
    urls = re.findall(r"runbook_url: (\S+)", (ROOT / "roles/monitoring/files/rules.yml").read_text(encoding="utf-8"))
    assert len(urls) > 30
    for url in urls:
        name, _, anchor = seeing.runbook(url).partition("#")
        assert anchor in Page((settings.www / name).read_text(encoding="utf-8")).ids, url


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h"), (200000, "2 d"), (-300, "-5 min")]
)
def test_durations(seconds: float, words: str) -> None:
    """In the largest unit of which there are two."""
    assert span(seconds) == words


@pytest.mark.parametrize(("number", "words"), [(5, "5 B"), (1536, "1.5 KiB"), (5e12, "4656.6 GiB")])
def test_sizes(number: float, words: str) -> None:
    """As disks are measured."""
    assert size(number) == words


RECORDED = Path(__file__).parent / "recorded"
# Of the HA lab, whose messages nobody took.
SAID: dict[str, tuple[str, set[str], set[str]]] = {
    "healthy": ("Warnings: NotificationsFail.", set(), set()),
}


@pytest.mark.parametrize("name", SAID)
def test_a_real_prometheus_is_understood(tmp_path: Path, serve: Serve, name: str) -> None:
    """What the lab's said: the sentence, hosts that are down, components that are silent elsewhere."""
    said = json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))
    found = [{"metric": labels, "value": [NOW, str(value)]} for labels, value in said["series"]]
    where: dict[str, Any] = {"data": str(tmp_path), "records": str(tmp_path), "docs": str(tmp_path / "docs")}
    settings = Settings(**said["settings"], **where, prometheus=serve(found, said["alerts"]))
    sentence, down, silent = SAID[name]
    assert sentence in built(settings).text
    hosts = seeing.topology(settings, ask(settings))
    assert {host["name"] for host in hosts if host["state"] != "ok"} == down
    for host in (host for host in hosts if host["name"] not in down):
        assert {it["name"] for it in host["components"] if it["state"] != "ok"} <= silent, host["name"]
        assert len(host["components"]) >= 7
    kept = json.loads((tmp_path / "state.json").read_text(encoding="utf-8"))
    up = {host["name"] for host in hosts} - down
    assert {host for host, it in kept["versions"].items() if "prometheus-node-exporter" in it} == up
    assert {host for host, it in kept["certificates"].items() if "metrics-gate" in it} >= up
