# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How specs are chosen, and what a run of them gave."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

PASSED, SKIPPED = "passed", ("skipped", "pending")


def focus_of(names: list[str]) -> str:
    """A regular expression (RE2) of exactly these specs; the suite puts its own name in front."""
    return "|".join(re.sub(r"([^A-Za-z0-9_ /:-])", r"\\\1", name) + "$" for name in names)


@dataclass(frozen=True)
class Spec:
    """One spec that ran."""

    name: str
    status: str
    seconds: float
    message: str


def read(file: Path, target: Path) -> list[Spec]:
    """Specs of a JUnit report that were chosen; the report goes to the target without the thousands that were not."""
    tree = ET.parse(file)
    specs = []
    for suite in tree.getroot().iter("testsuite"):
        for case in list(suite.iterfind("testcase")):
            name, status = case.get("name", ""), case.get("status", "")
            if status in SKIPPED:
                suite.remove(case)
            elif name.startswith("[It] "):
                trouble = next((found for kind in ("failure", "error") if (found := case.find(kind)) is not None), None)
                message = "" if trouble is None else trouble.get("message") or trouble.text or ""
                specs.append(Spec(name.removeprefix("[It] "), status, float(case.get("time", "0")), message.strip()))
    for part in tree.iter():
        # What is counted is what is there.
        if part.tag in ("testsuites", "testsuite"):
            part.attrib |= {"tests": str(len(list(part.iter("testcase")))), "disabled": "0", "skipped": "0"}
    tree.write(target, encoding="utf-8", xml_declaration=True)
    return sorted(specs, key=lambda spec: spec.name)


def problems(specs: list[Spec], wanted: list[str]) -> list[str]:
    """Why a run is not a success, a line each."""
    ran = {spec.name for spec in specs}
    lines = [f"{spec.name}: {spec.status}: {' '.join(spec.message.split())[:400]}" for spec in failed(specs)]
    lines += [f"{name}: there is no such spec in this version of the suite" for name in wanted if name not in ran]
    return lines if lines or specs else ["no spec has a name that fits"]


def failed(specs: list[Spec]) -> list[Spec]:
    """Those that ran to another end."""
    return [spec for spec in specs if spec.status != PASSED]


def summary(specs: list[Spec], seconds: float) -> list[str]:
    """A short table."""
    lines = [f"{spec.status:8} {spec.seconds:7.1f} s  {spec.name}" for spec in specs]
    return [*lines, f"{len(specs) - len(failed(specs))} of {len(specs)} specs passed in {seconds:.0f} s"]
