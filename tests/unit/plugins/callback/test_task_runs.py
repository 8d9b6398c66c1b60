# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What counts as a task run, in a real ansible-playbook."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).resolve().parents[4]
DEBUG = "ansible.builtin.debug"
# Each task on two hosts, and what it adds.
TASKS: list[dict[str, Any]] = [
    {"name": "one", DEBUG: {}},  # 2 runs
    {"name": "once", DEBUG: {}, "run_once": True},  # 1 run
    {"name": "skipped", DEBUG: {}, "when": False},  # 2 skipped
    {"name": "loop", DEBUG: {}, "loop": [1, 2, 3], "when": "item != 2"},  # 4 runs, 2 skipped
    {"name": "loop, skipped", DEBUG: {}, "loop": [1, 2], "when": False},  # 4 skipped
    {"name": "loop of nothing", DEBUG: {}, "loop": []},  # 2 skipped
    {"name": "include", "ansible.builtin.include_tasks": "more.yml"},  # 2 runs, and 2 of what is in it
    {"name": "until", DEBUG: {}, "register": "__x", "until": "__x.attempts > 1", "retries": 3, "delay": 0},  # 4 runs
    {"name": "ignored", "ansible.builtin.fail": {}, "ignore_errors": True},  # 2 runs
    {"name": "failed loop", "ansible.builtin.fail": {}, "loop": [1, 2], "when": "inventory_hostname == 'b'"},
]
EXPECTED = {
    "one": 2,
    "once": 1,
    "loop": 4,
    "include": 2,
    "included": 2,
    "until": 4,
    "ignored": 2,
    "failed loop": 2,
}
SKIPPED = 2 + 2 + 4 + 2 + 2


def play(folder: Path, **environment: str) -> str:
    """Run the tasks on two hosts and return the output."""
    link = folder / "ansible_collections" / "selfhosted" / "kubernetes"
    link.parent.mkdir(parents=True)
    link.symlink_to(CHECKOUT)
    (folder / "more.yml").write_text(yaml.safe_dump([{"name": "included", DEBUG: {}}]), encoding="utf-8")
    document = [{"hosts": "all", "gather_facts": False, "connection": "local", "tasks": TASKS}]
    (folder / "play.yml").write_text(yaml.safe_dump(document), encoding="utf-8")
    (folder / "ansible.cfg").write_text("[defaults]\n", encoding="utf-8")
    # The interpreter is never used: debug and fail run on the control node.
    return subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "a,b", "play.yml"],
        cwd=folder,
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(folder),
            "ANSIBLE_CALLBACKS_ENABLED": "selfhosted.kubernetes.task_runs",
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
    ).stdout


def test_counts(tmp_path: Path) -> None:
    """Tasks, items and attempts count; skipped ones apart; the sum of a loop does not."""
    file = tmp_path / "runs.json"
    play(tmp_path, SELFHOSTED_TASK_RUNS=str(file))
    figures = json.loads(file.read_text(encoding="utf-8"))
    assert figures["by_task"] == EXPECTED
    assert figures["runs"] == sum(EXPECTED.values())
    assert figures["skipped"] == SKIPPED
    assert sum(figures["by_host"].values()) == figures["runs"]
    assert figures["by_host"]["b"] == figures["by_host"]["a"] + 1
    assert 0 < figures["seconds"] < 60
    assert [path.name for path in tmp_path.glob("runs.json*")] == ["runs.json"]


def test_shows_one_line_without_a_file(tmp_path: Path) -> None:
    """Enabled is enough."""
    output = play(tmp_path)
    assert f"task runs: {sum(EXPECTED.values())}, skipped: {SKIPPED}, seconds: " in output
