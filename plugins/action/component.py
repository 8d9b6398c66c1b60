# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action side of component: render everything on the control node, then one call to the host."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ansible import constants
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._component.render import Renderer
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._lost import refuse_without_lost_hosts


class ActionModule(ActionBase):
    """See plugins/modules/component.py for options and return values."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Render the components of the named roles and apply them."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        refuse_without_lost_hosts(variables)
        spec = {
            "roles": {"type": "list", "elements": "str", "required": True},
            "rolling": {"type": "bool", "default": False},
            "artifacts": {"type": "dict"},
            "store": {"type": "dict"},
            "pki_dir": {"type": "path"},
        }
        _validation, args = self.validate_argument_spec(argument_spec=spec)
        try:
            components, secrets, store = self._render(args, variables)
        except AnsibleError as error:
            raise AnsibleActionFail(str(error)) from error
        module_args = {"components": components, "secrets": secrets, "store": store, "rolling": args["rolling"]}
        result.update(self._execute_module("selfhosted.kubernetes.component", module_args, task_vars=variables))
        return result

    def _render(
        self, args: dict[str, Any], variables: dict[str, Any]
    ) -> tuple[list[dict[str, Any]], dict[str, str], dict[str, Any]]:
        derived = self._variable(variables, "cluster_derived", {})
        artifacts = args["artifacts"]
        if artifacts is None:
            files = self._variable(variables, "cluster_artifacts", {}).get("files", {})
            artifacts = files.get(self._variable(variables, "cluster_host", {}).get("architecture"), {})
        store = args["store"] or derived.get("store", {})
        if store.get("ca"):
            store = {**store, "ca": self._read(store["ca"])}
        # Roles beside the playbook come first, as everywhere in Ansible.
        role_paths = [os.path.join(self._loader.get_basedir(), "roles"), *constants.DEFAULT_ROLES_PATH]
        renderer = Renderer(
            self._loader,
            self._templar,
            variables,
            role_paths,
            artifacts,
            args["pki_dir"] or derived.get("pki_dir", "."),
        )
        components = [component for role in args["roles"] for component in renderer.render(role)]
        return components, renderer.secrets, store

    def _variable(self, variables: dict[str, Any], name: str, default: Any) -> Any:
        return self._templar.template(variables[name]) if name in variables else default

    def _read(self, path: str) -> str:
        try:
            return Path(path).read_text(encoding="utf-8")
        except OSError as error:
            raise AnsibleError(f"CA of the artifact store {path}: {error.strerror}") from error
