# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judge what hosts said about their health, and show it as a table."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._files import replace_text
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._health.model import FAILURE, WARNING, Seen
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._health.outage import outage
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._health.report import document, judge, table

COLORS = {FAILURE: constants.COLOR_ERROR, WARNING: constants.COLOR_WARN}


class ActionModule(ActionBase):
    """See plugins/modules/health_report.py for options and return values."""

    _supports_check_mode = True
    _supports_async = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Judge, show, write."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        spec = {
            "hosts": {"type": "dict", "required": True},
            "groups": {"type": "dict", "required": True},
            "pki_dir": {"type": "path"},
            "path": {"type": "path"},
        }
        _validation, args = self.validate_argument_spec(argument_spec=spec)
        said = args["hosts"]
        silent = {name: str(it.get("silent") or it.get("msg")) for name, it in said.items() if "clock" not in it}
        seen = Seen(args["groups"], {name: it for name, it in said.items() if name not in silent}, silent)
        now = datetime.now(UTC)
        areas = judge(seen, Path(args["pki_dir"]) if args["pki_dir"] else None, now)
        display = Display()
        for level, line in table(areas):
            display.display(line, color=COLORS.get(level))
        found = {**document(areas, now), "outage": outage(seen, now)}
        if args["path"] and not self._task.check_mode:
            _write(Path(args["path"]), found)
        # Everything has been shown already.
        return {**result, "changed": False, "_ansible_verbose_override": True, **found}


def _write(path: Path, found: dict[str, Any]) -> None:
    try:
        replace_text(path, json.dumps(found, indent=2) + "\n")
    except OSError as error:
        raise AnsibleActionFail(f"the report cannot be written to {path}: {error.strerror}") from error
