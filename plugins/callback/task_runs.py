# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Counts how often Ansible ran something on a host: what a run costs before any host does work."""

from __future__ import annotations

import json
import time
from collections import Counter
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._files import replace_text

DOCUMENTATION = r"""
name: task_runs
type: aggregate
short_description: Count the module executions of a run
version_added: 0.1.0
author: selfhosted.kubernetes contributors
description:
  - Counts each task on each host, each item of a loop, and each further attempt of C(until). These are what a run pays
    for, whatever the module then does.
  - Skipped tasks and items are counted apart. An include counts as a task; what is imported costs nothing by itself.
  - At the end of the run the figures are written to a file as JSON, or shown in one line where no file is named. The
    figures are C(runs), C(skipped), C(by_host), C(by_task) and C(seconds).
requirements:
  - enabling it, with C(ANSIBLE_CALLBACKS_ENABLED=selfhosted.kubernetes.task_runs)
options:
  path:
    description: File to write. It is replaced in one step.
    type: path
    env:
      - name: SELFHOSTED_TASK_RUNS
    ini:
      - section: callback_selfhosted_task_runs
        key: path
"""

EXAMPLES = r"""
env: >-
  ANSIBLE_CALLBACKS_ENABLED=selfhosted.kubernetes.task_runs SELFHOSTED_TASK_RUNS=runs.json
  ansible-playbook -i inventory selfhosted.kubernetes.site
"""


class CallbackModule(CallbackBase):
    """The counters, and what feeds them."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "selfhosted.kubernetes.task_runs"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, display: Any = None, options: Any = None) -> None:
        super().__init__(display=display, options=options)
        self.by_host: Counter[str] = Counter()
        self.by_task: Counter[str] = Counter()
        self.skipped = 0
        self.looped: set[tuple[str, str]] = set()
        self.began = time.monotonic()

    def run(self, result: Any) -> None:
        """One execution on one host."""
        self.by_host[result.host.get_name()] += 1
        self.by_task[result.task.get_name()] += 1

    def item(self, result: Any) -> None:
        """Remember that the task's own result, which follows its items, is none of its own."""
        self.looped.add((result.task._uuid, result.host.get_name()))  # noqa: SLF001

    def of_loop(self, result: Any) -> bool:
        """Whether the result only sums up items that are counted already."""
        return (result.task._uuid, result.host.get_name()) in self.looped  # noqa: SLF001

    def v2_runner_on_ok(self, result: Any) -> None:
        """A task, or the end of a loop."""
        if not self.of_loop(result):
            self.run(result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """As above; a failure is an execution, too."""
        del ignore_errors
        self.v2_runner_on_ok(result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """The attempt costs as much."""
        self.v2_runner_on_ok(result)

    def v2_runner_on_skipped(self, result: Any) -> None:
        """A task that does not run, or a loop none of whose items did."""
        if not self.of_loop(result):
            self.skipped += 1

    def v2_runner_retry(self, result: Any) -> None:
        """An attempt that is followed by another."""
        self.run(result)

    def v2_runner_item_on_ok(self, result: Any) -> None:
        """One item."""
        self.item(result)
        self.run(result)

    def v2_runner_item_on_failed(self, result: Any) -> None:
        """One item."""
        self.v2_runner_item_on_ok(result)

    def v2_runner_item_on_skipped(self, result: Any) -> None:
        """One item that does not run."""
        self.item(result)
        self.skipped += 1

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """The end of the run."""
        del stats
        figures = {
            "runs": self.by_host.total(),
            "skipped": self.skipped,
            "by_host": dict(sorted(self.by_host.items())),
            "by_task": dict(self.by_task.most_common()),
            "seconds": round(time.monotonic() - self.began, 1),
        }
        path = self.get_option("path")
        if not path:
            self._display.display(
                f"task runs: {figures['runs']}, skipped: {figures['skipped']}, seconds: {figures['seconds']}"
            )
            return
        replace_text(Path(path), json.dumps(figures, indent=2) + "\n")
