# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have the official test suite on the control node."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._artifacts.cache import ArtifactError
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._conformance.suite import Suite

display = Display()


class ActionModule(ActionBase):
    """See plugins/modules/conformance_suite.py for options and return values."""

    _supports_check_mode = False
    _supports_async = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Fetch or build what the cache lacks."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        spec = {
            "version": {"type": "str", "required": True},
            "source": {"type": "str", "choices": ["auto", "release", "source"], "default": "auto"},
            "images": {"type": "str", "choices": ["built", "upstream"], "default": "built"},
            "cache_dir": {"type": "path", "required": True},
            "pins": {"type": "path", "required": True},
            "agnhost": {"type": "path", "required": True},
        }
        _validation, args = self.validate_argument_spec(argument_spec=spec)
        suite = Suite({**args, "check": False}, display.display)
        try:
            result.update(suite.have())
        except (ArtifactError, OSError) as error:
            raise AnsibleActionFail(str(error)) from error
        result.update(changed=bool(suite.made), made=suite.made)
        return result
