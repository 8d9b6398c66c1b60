# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have every binary and image in the cache of the control node."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._artifacts.cache import ArtifactError
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._artifacts.engine import NATIVE, Artifacts

display = Display()


class ActionModule(ActionBase):
    """See plugins/modules/artifacts.py for options and return values."""

    _supports_check_mode = True
    _supports_async = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Fetch or build what the cache lacks."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        spec = {
            "kubernetes_version": {"type": "str", "required": True},
            "architectures": {"type": "list", "elements": "str", "default": []},
            "services": {"type": "list", "elements": "str", "default": []},
            "source": {"type": "str", "choices": ["auto", "release", "mirror", "source"], "default": "auto"},
            "mirror": {"type": "str", "default": ""},
            "cache_dir": {"type": "path", "required": True},
            "pins": {"type": "path", "required": True},
            "bundle": {"type": "path"},
        }
        _validation, args = self.validate_argument_spec(argument_spec=spec)
        args["architectures"] = sorted({arch for arch in args["architectures"] if arch}) or [NATIVE]
        artifacts = Artifacts({**args, "check": self._task.check_mode}, display.display)
        try:
            result.update(artifacts.run())
            if args["bundle"] and not self._task.check_mode:
                result["bundle_bytes"] = artifacts.bundle(Path(args["bundle"]))
        except ArtifactError as error:
            raise AnsibleActionFail(str(error)) from error
        except OSError as error:
            hint = (
                "free some space, or set artifacts_cache_dir; the next run goes on"
                if error.errno == 28
                else "is the folder writable?"
            )
            raise AnsibleActionFail(f"artifacts: {error}: {hint}") from error
        if artifacts.missing:
            raise AnsibleActionFail(
                f"--check cannot build or fetch: {', '.join(artifacts.missing)}. "
                "Run playbooks/artifacts.yml first; it changes no host"
            )
        result.update(changed=bool(artifacts.made), made=artifacts.made)
        return result
