# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person types at night is there: playbooks, their variables, and what they say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PLAN = (ROOT / "docs/disaster-plan.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"selfhosted\.kubernetes\.(\w+)((?: -e \w+=\S+)*)", PLAN)))
PAGE_LINES = 100


def text_of(name: str) -> str:
    """A playbook with the parts that it imports."""
    path = ROOT / "playbooks" / f"{name}.yml"
    text = path.read_text(encoding="utf-8")
    parts = re.findall(r"import_playbook: (parts/\w+\.yml)", text)
    return text + "".join((path.parent / part).read_text(encoding="utf-8") for part in parts)


@pytest.mark.parametrize(("name", "given"), NAMED)
def test_commands_are_playbooks_that_take_these_variables(name: str, given: str) -> None:
    """Each variable is read by its playbook."""
    for variable in re.findall(r"-e (\w+)=", given):
        assert re.search(rf"\b{variable}\b", text_of(name)), f"{name} does not read {variable}"


def test_the_plan_names_what_can_be_restored() -> None:
    """Otherwise the test above would test nothing; and it fits on a page."""
    assert {"check", "restore", "recover_quorum", "replace_etcd_member", "site", "backup"} <= {
        name for name, _ in NAMED
    }
    assert len(PLAN.splitlines()) <= PAGE_LINES


def test_the_drill_does_what_the_plan_says() -> None:
    """Step 4, in its order: rehearse, install until etcd, restore, finish."""
    step = PLAN.partition("**4.")[2].partition("**5.")[0]
    wanted = re.findall(r"selfhosted\.kubernetes\.(\w+)", step)
    imported = re.findall(r"import_playbook: (\w+)\.yml", text_of("drill_rebuild"))
    assert imported == wanted == ["drill_restore", "restore", "site"]


def test_what_the_plan_quotes_is_said() -> None:
    """By etcd's first start, and by the drill."""
    script = (ROOT / "roles/etcd/templates/usr/local/libexec/etcd-join.j2").read_text(encoding="utf-8")
    assert "the cluster exists (" in script
    assert "the cluster exists (" in text_of("drill_rebuild")
    assert "the cluster exists" in PLAN
