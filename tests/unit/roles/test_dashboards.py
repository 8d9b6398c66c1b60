# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Grafana's dashboards are what their script makes, and each panel can be drawn by any Prometheus of ours."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.alerting import expression_error
from ansible_collections.selfhosted.kubernetes.scripts import dashboards

ROOT = Path(__file__).resolve().parents[3]
BOARDS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(dashboards.FOLDER.glob("*.json"))}
WANTED = {"overview", "control-plane", "nodes", "pods", "network", "outside", "drills", "storage"}
# Of Grafana's units (grafana.com/docs: standard options) those that are used here.
UNITS = {"none", "s", "bytes", "Bps", "pps", "reqps", "percentunit", "iops", "ms"}
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
GRID = 24


def panels(name: str) -> list[dict[str, Any]]:
    """Those of a dashboard that show something."""
    return [panel for panel in BOARDS[name]["panels"] if panel["type"] != "row"]


def expressions(name: str) -> Iterator[str]:
    """All queries of a dashboard."""
    yield from (target["expr"] for panel in panels(name) for target in panel["targets"])


def test_files_are_what_the_script_makes() -> None:
    """All of them, and no other."""
    assert {path.stem: text for path, text in dashboards.documents()} == {
        path.stem: path.read_text(encoding="utf-8") for path in dashboards.FOLDER.glob("*.json")
    }
    assert set(BOARDS) == WANTED


def test_names_are_there_once() -> None:
    """A dashboard is found by its uid, a panel by its id."""
    for key in ("uid", "title"):
        assert max(Counter(board[key] for board in BOARDS.values()).values()) == 1
    for name, board in BOARDS.items():
        assert max(Counter(panel["id"] for panel in board["panels"]).values()) == 1, name
        titles = Counter(panel["title"] for panel in panels(name))
        assert all(panel["id"] > 0 for panel in board["panels"])
        assert titles.total() >= 8, name


@pytest.mark.parametrize("name", BOARDS)
def test_panels_say_what_they_measure(name: str) -> None:
    """A title, a unit that Grafana knows, and a legend that tells lines apart."""
    for panel in panels(name):
        assert panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]
        for target in panel["targets"]:
            assert panel["type"] == "stat" or target["legendFormat"], panel["title"]


@pytest.mark.parametrize("name", BOARDS)
def test_data_come_from_the_prometheus_that_is_chosen(name: str) -> None:
    """Everything asks the data source of the variable, which is there."""
    variables = {it["name"]: it for it in BOARDS[name]["templating"]["list"]}
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    assert all(it["datasource"] == SOURCE for key, it in variables.items() if key != "datasource")
    for panel in panels(name):
        assert panel["datasource"] == SOURCE, panel["title"]
        assert panel["targets"], panel["title"]
        assert all(target["datasource"] == SOURCE for target in panel["targets"]), panel["title"]
    used = {word for text in expressions(name) for word in re.findall(r"\$(\w+)", text)}
    assert used <= {*variables, "__rate_interval"}
    assert set(variables) - {"datasource"} <= used


@pytest.mark.parametrize("name", BOARDS)
def test_panels_do_not_overlap(name: str) -> None:
    """And none is beyond the edge."""
    boxes = [(panel["title"], panel["gridPos"]) for panel in BOARDS[name]["panels"]]
    assert all(box["x"] + box["w"] <= GRID for _, box in boxes)
    for (one, a), (other, b) in combinations(boxes, 2):
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        assert beside or a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"], f"{one} and {other}"


@pytest.mark.parametrize("name", BOARDS)
def test_expressions_can_be_read(name: str) -> None:
    """By what checks users' rules; whether there are series, the lab's test asks."""
    for text in expressions(name):
        plain = text.replace("$__rate_interval", "5m").replace("$node", ".*").replace("$namespace", ".*")
        assert expression_error(plain) == "", text


def test_nothing_is_asked_that_is_not_kept() -> None:
    """Prometheus drops some histograms when it asks for them."""
    variables = yaml.safe_load((ROOT / "roles/monitoring/vars/main.yml").read_text(encoding="utf-8"))
    dropped = re.compile("|".join(variables["__monitoring_dropped"]))
    asked = {word for name in BOARDS for text in expressions(name) for word in re.findall(r"[a-z_]+_[a-z_]+", text)}
    assert "apiserver_request_total" in asked
    assert [word for word in sorted(asked) if dropped.fullmatch(word)] == []
