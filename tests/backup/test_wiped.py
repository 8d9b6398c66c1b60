# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disasters for real, as drills make them: an outage, and all masters wiped, with a backup and without."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.tests.backup.outside import contents
from ansible_collections.selfhosted.kubernetes.tests.lab.ci import BASE, WEB, Repository, answer
from ansible_collections.selfhosted.kubernetes.tests.lab.support import (
    NODES,
    OPERATOR,
    Lab,
    check,
    playbook,
    wait_until,
)
from ansible_collections.selfhosted.kubernetes.tests.scale.machines import Figures

REBUILD_SECONDS = 240


@pytest.fixture(scope="module")
def app(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A web app that its job deployed, as was what it is built upon."""
    folder = tmp_path_factory.mktemp("app")
    Repository(lab, folder, "base").pushed(BASE)
    web = Repository(lab, folder, "web")
    web.pushed(WEB)
    return web


def drilled(lab: Lab, name: str, confirm: str) -> dict[str, Any]:
    """A drill that has to end well; its record on the outside host, of which Prometheus and the status page know."""
    began = time.time()
    code, output = playbook(f"drill_{name}", confirm)
    assert code == 0, output[-6000:]
    record: dict[str, Any] = json.loads(lab.run(OPERATOR, f"tail -n 1 /var/lib/backup/{name}s.jsonl"))
    assert record["time"] > began
    metrics = lab.run(OPERATOR, f"cat /var/lib/node-exporter/selfhosted_drill_{name}.prom")
    assert f'selfhosted_drill_duration_seconds{{drill="{name}"}} {record["seconds"]}\n' in f"{metrics}\n"
    return record


def is_well(lab: Lab) -> None:
    """Every node takes pods, and the app answers."""
    lab.kubectl(f"wait --for=condition=Ready --timeout=60s node {' '.join(NODES)}")
    wait_until(lambda: answer(lab).startswith("web-"), 60, "the app answers")


def test_an_outage(lab: Lab, app: Repository, figures: Figures) -> None:
    """Everything outside works meanwhile, a build too; the cluster is well afterwards."""
    assert app.name == "web"
    code, output = playbook("backup")
    assert code == 0, output[-3000:]
    figures.add("outage", **drilled(lab, "outage", "drill_confirm=lab"))
    is_well(lab)


@pytest.mark.usefixtures("app")
def test_all_masters_are_wiped_and_restored(lab: Lab, filled: str, figures: Figures) -> None:
    """Each object of the backup is as it was."""
    before = contents(lab, filled)
    code, output = playbook("backup")
    assert code == 0, output[-3000:]
    record = drilled(lab, "rebuild", "drill_destroy=lab")
    figures.add("rebuild", **record)
    assert contents(lab, filled) == before
    assert record["rpo_seconds"] < REBUILD_SECONDS
    assert record["seconds"] <= REBUILD_SECONDS
    is_well(lab)


@pytest.mark.usefixtures("app")
def test_all_masters_are_wiped_and_redeployed(lab: Lab, filled: str, figures: Figures, tmp_path: Any) -> None:
    """Without any backup: what a job deploys is back, by its job, and nothing else; the outside goes on with it."""
    record = drilled(lab, "redeploy", "drill_destroy=lab")
    figures.add("redeploy", **record)
    assert [line.split()[0] for line in record["jobs"]] == ["base", "web", "all"]
    assert all(line.endswith("success") for line in record["jobs"])
    is_well(lab)
    assert lab.try_kubectl(f"get namespace {filled}").rc != 0
    code, output = playbook("backup")
    assert code == 0, output[-3000:]
    code, output = playbook("drill_restore")
    assert code == 0, output[-3000:]
    assert [it for it in check(tmp_path).findings if it[0] == "failure"] == []
