# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put together what API servers or hosts said, show it, and keep it for programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._why import on_node
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._files import replace_text

KEYS = ("target", "state", "verdict", "lines", "cause", "also", "where", "changes", "unknown", "requests")


class ActionModule(ActionBase):
    """See plugins/modules/why_answer.py for options and return values."""

    _supports_check_mode = True
    _supports_async = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Put together, show, write."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        spec = {
            "answers": {"type": "list", "elements": "dict", "required": True},
            "outage": {"type": "dict", "default": {}},
            "nodes": {"type": "dict", "default": {}},
            "path": {"type": "path"},
        }
        _validation, args = self.validate_argument_spec(argument_spec=spec)
        first = next(iter(args["answers"]), None)
        said = (
            {key: first[key] for key in KEYS if key in first} if first else without_api(args["outage"], args["nodes"])
        )
        for line in said["lines"]:
            Display().display(line)
        if args["path"] and not self._task.check_mode:
            try:
                replace_text(Path(args["path"]), json.dumps(said, indent=2) + "\n")
            except OSError as error:
                raise AnsibleActionFail(f"the answer cannot be written to {args['path']}: {error.strerror}") from error
        # Everything has been shown already.
        return {**result, "changed": False, "_ansible_verbose_override": True, **said}


def without_api(outage: dict[str, Any], nodes: dict[str, Any]) -> dict[str, Any]:
    """Why there is no answer of an API server, and what nodes have of the pod."""
    # An API server that was away for a moment only.
    why = outage.get("verdict") or "and yet one is ready now: ask again"
    verdict = f"no API server answers: {why}"
    silent = [name for name, it in nodes.items() if "pods" not in it]
    pods = {name: it["pods"] for name, it in nodes.items() if it.get("pods")}
    lines = [verdict]
    evidence = outage.get("evidence", [])
    lines += [f"{'because' if number == 0 else '':10} {line}" for number, line in enumerate(evidence)]
    lines += [f"next: {outage['todo']}"] if outage.get("todo") else []
    for name, found in pods.items():
        lines += on_node.shown(name, found)
    lines += [] if pods else ["no node that can be reached has a log of it"]
    lines += [f"not known: {', '.join(silent)} cannot be reached and may have it"] if silent else []
    return {
        "state": "unreachable",
        "verdict": verdict,
        "lines": lines,
        "cause": outage,
        "pods": pods,
        "silent": silent,
    }
