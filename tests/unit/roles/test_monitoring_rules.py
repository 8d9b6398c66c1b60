# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's alerts: each fires when it should and not before, by promtool, and a runbook says what to do."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.alerting import expression_error

ROOT = Path(__file__).resolve().parents[3]
RULES = ROOT / "roles/monitoring/files/rules.yml"
GROUPS = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
ALERTS = {rule["alert"]: rule for group in GROUPS for rule in group["rules"]}
CASES = yaml.safe_load((ROOT / "tests/rules/cases.yml").read_text(encoding="utf-8"))


def document(case: dict[str, Any]) -> dict[str, Any]:
    """The case as promtool wants it."""
    rule = ALERTS[case["alert"]]
    link = rule["annotations"]["runbook_url"]
    fired = [
        {
            "exp_labels": {**rule["labels"], **it["labels"]},
            "exp_annotations": {"summary": it["summary"], "runbook_url": link},
        }
        for it in (case, *case.get("also", []))
    ]
    moments: list[tuple[str, list[Any]]] = [(case["quiet"], [])] if "quiet" in case else []
    return {
        "interval": "15s",
        "input_series": [{"series": name, "values": values} for name, values in case["series"].items()],
        "alert_rule_test": [
            {"eval_time": moment, "alertname": case["alert"], "exp_alerts": alerts}
            for moment, alerts in [*moments, (case["fires"], fired)]
        ],
    }


def test_each_fires_when_it_should(tmp_path: Path, tool: Callable[[str], str]) -> None:
    """Promtool names what is wrong. Each is alone in its file: the 26 hours of one are not those of all."""
    cases = {case["alert"]: case for case in CASES}
    for group in GROUPS:
        for rule in group["rules"]:
            alone = tmp_path / f"{rule['alert']}.rule.yml"
            alone.write_text(yaml.safe_dump({"groups": [{**group, "rules": [rule]}]}), encoding="utf-8")
            tests = [document(cases[rule["alert"]])]
            wanted = {"rule_files": [str(alone)], "evaluation_interval": "15s", "tests": tests}
            (tmp_path / f"{rule['alert']}.test.yml").write_text(yaml.safe_dump(wanted), encoding="utf-8")
    files = map(str, tmp_path.glob("*.test.yml"))
    done = subprocess.run([tool("promtool"), "test", "rules", *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_has_a_case() -> None:
    """In the order of the rules, so that a new one's place is known."""
    assert [case["alert"] for case in CASES] == list(ALERTS)


@pytest.mark.parametrize("alert", ALERTS)
def test_each_says_what_to_do(alert: str) -> None:
    """How urgent it is, and a paragraph of a runbook that answers three questions."""
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in ("critical", "warning", "none")
    page, anchor = re.fullmatch(r".*/(\w+\.md)#(\w+)", rule["annotations"]["runbook_url"]).groups()  # type: ignore[union-attr]
    assert anchor == alert.lower()
    text = (ROOT / "docs/runbooks" / page).read_text(encoding="utf-8")
    (paragraph,) = re.findall(rf"^## {alert}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    parts = re.findall(r"^\*\*([^*]+)\*\*", paragraph, re.MULTILINE)
    assert parts == ["Means", "Look", "Do"]


@pytest.mark.parametrize("alert", ALERTS)
def test_validation_takes_what_promtool_takes(alert: str) -> None:
    """What it is asked of users' rules, it says of ours."""
    assert expression_error(ALERTS[alert]["expr"]) == ""
