# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks the whole inventory and derives what roles need to know of each other; runs on the control node alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.template import Templar
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.ca import (
    PASSPHRASE,
    USER_CAS,
    authority_errors,
)
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.derive import derive
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.gather import Gatherer
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.model import report
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.specs import kubernetes_versions, load
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._cluster.validate import validate, warnings
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._lost import refuse_without_lost_hosts

# Of this very copy of the collection, wherever it is installed.
ROLES = Path(__file__).resolve().parents[2] / "roles"


class TaskVariables(Mapping[str, Any]):
    """The running task's variables (role defaults, play and inventory), templated when they are asked for."""

    def __init__(self, templar: Templar, variables: dict[str, Any]) -> None:
        self._templar = templar
        self._variables = variables

    def __getitem__(self, name: str) -> Any:
        return self._templar.template(self._variables[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._variables)

    def __len__(self) -> int:
        return len(self._variables)


class ActionModule(ActionBase):
    """See the module of the same name."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Fail once with everything that is wrong, or answer with the derived values."""
        super().run(tmp, task_vars)
        given = task_vars or {}
        refuse_without_lost_hosts(given)
        variables = TaskVariables(self._templar, given)
        gatherer = Gatherer(load(ROLES), given["groups"], given["hostvars"])
        base = Path(variables.get("inventory_dir") or Path.cwd())
        inventory = gatherer.inventory(variables, base, kubernetes_versions(ROLES))
        errors = [*gatherer.errors, *validate(inventory)]
        if inventory.settings.state_dir:
            own, passphrase = (gatherer.setting(variables, name) for name in (USER_CAS, PASSPHRASE))
            pki_dir = Path(inventory.settings.state_dir, "pki")
            errors += authority_errors(pki_dir, own, passphrase, datetime.now(UTC))
        if lines := report(errors):
            listed = "\n".join(f"- {line}" for line in lines)
            return {"failed": True, "msg": f"{len(lines)} error(s) in the inventory or on its hosts:\n{listed}"}
        # Pages of values are of no use in the output of -v; ansible.builtin.debug shows them.
        shown = {"changed": False, "_ansible_verbose_override": True, "warnings": report(warnings(inventory))}
        return {**shown, **derive(inventory)}
