# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Have files on the control node that upstream has no checksums of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._artifacts.cache import ArtifactError
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._artifacts.sources import Release

display = Display()


class ActionModule(ActionBase):
    """See plugins/modules/pinned_files.py for options and return values."""

    _supports_check_mode = True
    _supports_async = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Download what is not there as it was pinned; in check mode say what that would be."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        spec = {
            "files": {"type": "dict", "required": True},
            "pins": {"type": "path", "required": True},
            "mirror": {"type": "str", "default": ""},
            "variables": {"type": "str", "required": True},
        }
        _validation, args = self.validate_argument_spec(argument_spec=spec)
        release = Release(Path(args["pins"]), args["mirror"], args["variables"])
        try:
            if self._task.check_mode:
                made = [dest for dest, url in args["files"].items() if not release.has(url, Path(dest))]
            else:
                made = [d for d, url in args["files"].items() if release.file(url, Path(d), display.display)]
        except (ArtifactError, OSError) as error:
            raise AnsibleActionFail(str(error)) from error
        return {**result, "changed": bool(made), "made": made}
