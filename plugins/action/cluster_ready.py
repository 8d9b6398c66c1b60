# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster_ready module, and files of the control node that say which cluster it was, and its version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.model import VERSION_RECORD
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._files import replace_text


class ActionModule(ActionBase):
    """See plugins/modules/cluster_ready.py for options and return values."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Wait on the host, then write the records where they differ."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        result.update(self._execute_module(task_vars=task_vars))
        record, uid = self._task.args.get("record"), result.get("cluster_uid")
        if record and uid and not result.get("failed"):
            try:
                # A run of some masters does not say what the others are.
                asked = set((task_vars or {})["groups"]["masters"]) <= set(self._task.args.get("nodes", []))
                version = self._task.args.get("version", "") if asked else ""
                result["changed"] = keep(Path(record).expanduser(), uid, version)
            except OSError as error:
                raise AnsibleActionFail(f"record: {record} cannot be written: {error.strerror}") from error
        return result


def keep(path: Path, uid: str, version: str) -> bool:
    """The uid comes last: the version counts beside it alone."""
    changed = version != "" and write(path.with_name(VERSION_RECORD), f"{version}\n")
    return write(path, f"{uid}\n") or changed


def write(path: Path, text: str) -> bool:
    """Write a file in one step; whether it differed."""
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_text(path, text)
    return True
