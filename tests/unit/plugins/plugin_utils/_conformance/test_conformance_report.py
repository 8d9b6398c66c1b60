# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Choosing specs, and what is said of a run of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._conformance import report

ROOT = Path(__file__).resolve().parents[5]
NAMES = yaml.safe_load((ROOT / "roles/conformance/defaults/main.yml").read_text(encoding="utf-8"))["conformance_specs"]
# As ginkgo writes it.
JUNIT = """<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="5"><testsuite name="Kubernetes e2e suite" tests="5">
<testcase name="[ReportBeforeSuite]" classname="Kubernetes e2e suite" status="passed" time="0.01"></testcase>
<testcase name="[SynchronizedBeforeSuite]" classname="Kubernetes e2e suite" status="passed" time="1.5"></testcase>
<testcase name="[It] [sig-b] Two works [Conformance]" classname="x" status="passed" time="12.34"></testcase>
<testcase name="[It] [sig-a] One works [Conformance]" classname="x" status="failed" time="3.0">
<failure type="failed">pod never became
ready</failure></testcase>
<testcase name="[It] [sig-c] Three [Serial]" classname="x" status="skipped" time="0"><skipped></skipped></testcase>
</testsuite></testsuites>
"""
ONE, TWO = "[sig-a] One works [Conformance]", "[sig-b] Two works [Conformance]"


@pytest.fixture
def specs(tmp_path: Path) -> list[report.Spec]:
    """Of a run with one failure."""
    (tmp_path / "full.xml").write_text(JUNIT, encoding="utf-8")
    return report.read(tmp_path / "full.xml", tmp_path / "junit.xml")


def test_twenty_specs_are_named() -> None:
    """Each once, none that disturbs others."""
    assert len(NAMES) == len(set(NAMES)) == 20
    assert all("[Conformance]" in name and "[Serial]" not in name for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_focus_is_exact(name: str) -> None:
    """It finds the spec behind the suite's name, and no other that begins or ends alike."""
    focus = report.focus_of([name])
    assert [other for other in NAMES if re.search(focus, f"Kubernetes e2e suite {other}")] == [name]
    assert not re.search(focus, f"Kubernetes e2e suite {name} with more")
    assert re.search(report.focus_of(NAMES), f"Kubernetes e2e suite {name}")
    # What Go's regular expressions know of escapes: punctuation.
    assert all(not it.isalnum() and it != " " for it in re.findall(r"\\\\(.)", focus))


def test_a_report_has_only_what_ran(specs: list[report.Spec], tmp_path: Path) -> None:
    """Without the suite's own steps, and the file without what was skipped."""
    assert [(spec.name, spec.status, spec.seconds) for spec in specs] == [(ONE, "failed", 3.0), (TWO, "passed", 12.34)]
    text = (tmp_path / "junit.xml").read_text(encoding="utf-8")
    assert (text.count("<testcase"), "Three" in text) == (4, False)
    assert text.count('tests="4"') == 2


def test_a_failure_is_said_in_one_line(specs: list[report.Spec]) -> None:
    """With its reason."""
    assert report.problems(specs, [ONE, TWO]) == [f"{ONE}: failed: pod never became ready"]


def test_a_spec_that_does_not_exist_is_a_failure(specs: list[report.Spec]) -> None:
    """Else a misspelt name would pass."""
    assert report.problems(specs[1:], [TWO, "[sig-x] Gone"]) == [
        "[sig-x] Gone: there is no such spec in this version of the suite"
    ]


def test_nothing_that_ran_is_a_failure() -> None:
    """A focus that fits nothing proves nothing."""
    assert report.problems([], []) == ["no spec has a name that fits"]


def test_all_passed_is_no_problem(specs: list[report.Spec]) -> None:
    """Nothing is said."""
    assert report.problems(specs[1:], [TWO]) == []


def test_the_summary_is_a_table(specs: list[report.Spec]) -> None:
    """A line each, and the count."""
    assert report.summary(specs, 17.2) == [
        f"failed       3.0 s  {ONE}",
        f"passed      12.3 s  {TWO}",
        "1 of 2 specs passed in 17 s",
    ]
