# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks the whole inventory and derives what roles need to know of each other; runs on the control node alone."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.derive import derive
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.gather import Gatherer
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.model import report
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.specs import kubernetes_versions, load
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.validate import validate

# plugins/action/cluster.py of the collection, wherever it is installed.
ROLES = Path(__file__).resolve().parents[2] / "roles"


class ActionModule(ActionBase):
    """See the module of the same name."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Fail once with everything that is wrong, or answer with the derived values."""
        super().run(tmp, task_vars)
        variables = task_vars or {}
        specs = load(ROLES)
        gatherer = Gatherer(specs, variables["groups"], variables["hostvars"])
        inventory = gatherer.inventory(self._settings(list(specs.options), variables), kubernetes_versions(ROLES))
        lines = report([*gatherer.errors, *validate(inventory), *self._authority_errors(inventory.settings.state_dir, variables)])
        if lines:
            return {"failed": True, "msg": f"{len(lines)} error(s) in the inventory or on its hosts, nothing was changed:\n" + "\n".join(f"- {line}" for line in lines)}
        return {"changed": False, "_ansible_verbose_override": True, **derive(inventory)}

    def _settings(self, options: list[str], variables: dict[str, Any]) -> dict[str, Any]:
        """cluster_* as this task sees them: role defaults, play variables and the inventory."""
        settings = {name: self._templar.template(variables[name]) for name in options if name.startswith("cluster_") and name in variables}
        state = settings.get("cluster_state_dir") or ""
        if state:
            settings["cluster_state_dir"] = str(Path(variables.get("inventory_dir") or ".", Path(state).expanduser()).resolve())
        return settings

    def _authority_errors(self, state_dir: str, variables: dict[str, Any]) -> list[Any]:
        try:
            from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.ca import authority_errors
        except ImportError as error:
            raise AnsibleError(f"The control node's Python needs the package cryptography: {error}") from error
        passphrase = variables.get("pki_passphrase") or ""
        return authority_errors(Path(state_dir, "pki"), datetime.now(timezone.utc), str(self._templar.template(passphrase)))
