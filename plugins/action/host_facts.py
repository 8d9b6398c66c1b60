# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The host_facts module between two looks at the control node's clock."""

from __future__ import annotations

import time
from typing import Any

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    """See the module of the same name."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module and put the host's clock between ours."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        # Of storage hosts, which alone have some.
        given = self._templar.template((task_vars or {}).get("ceph_osds", []))
        entries = [it for it in given if isinstance(it, dict)] if isinstance(given, list) else []
        disks = [it["device"] for it in entries if it.get("device")]
        before = time.time()
        arguments = {**self._task.args, "devices": disks}
        result.update(self._execute_module(module_args=arguments, task_vars=task_vars))
        if "clock" in result:
            result["clock"].update(before=before, after=time.time())
        # A page for each host is of no use to a reader.
        result["_ansible_verbose_override"] = True
        return result
