# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a role's files to what the component module wants: every template rendered, every default filled in."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.template import trust_as_template

COLLECTION_ROLES = Path(__file__).resolve().parents[3] / "roles"
FILE_KEYS = {"dest", "template", "content", "pki", "owner", "group", "mode", "restarts", "secret", "before_packages"}
COMPONENT_KEYS = {
    "name",
    "packages",
    "user",
    "user_home",
    "user_shell",
    "binaries",
    "directories",
    "files",
    "unit",
    "first_start",
    "health",
    "tls",
    "rolling",
    "leaves",
}
LEAVES = {"paths", "interfaces", "nft_tables", "commands"}


class Renderer:
    """Renders components for one host."""

    def __init__(
        self,
        loader: Any,
        templar: Any,
        task_vars: Mapping[str, Any],
        role_paths: list[str],
        artifacts: Mapping[str, Any],
        pki_dir: str,
    ) -> None:
        self.loader = loader
        self.templar = templar
        self.task_vars = task_vars
        self.role_paths = [*role_paths, str(COLLECTION_ROLES)]
        self.artifacts = artifacts
        self.pki_dir = Path(pki_dir)
        self.secrets: dict[str, str] = {}

    def render(self, role: str) -> list[dict[str, Any]]:
        """All components of a role, ready for the module."""
        path = self._find(role)
        context = {
            **self._load(path / "defaults/main.yml"),
            **self.task_vars,
            **self._load(path / "vars/main.yml"),
            "role_name": role,
            "role_path": str(path),
        }
        templar = self.templar.copy_with_new_env(available_variables=context, searchpath=[str(path / "templates")])
        context.update(self._validated(role, path, templar, context))
        data = templar.template(context.get(f"{path.name}_component"))
        if data is None:
            raise AnsibleError(f"role {role}: vars/main.yml has no `{path.name}_component`")
        return [self._component(role, path, templar, item) for item in (data if isinstance(data, list) else [data])]

    def _find(self, role: str) -> Path:
        name = role.rsplit(".", 1)[-1]
        for base in self.role_paths:
            if (Path(base) / name / "vars/main.yml").is_file():
                return Path(base) / name
        raise AnsibleError(f"role {role} is in none of {', '.join(self.role_paths)}")

    def _load(self, path: Path) -> dict[str, Any]:
        return (
            (self.loader.load_from_file(str(path), cache="all", trusted_as_template=True) or {})
            if path.is_file()
            else {}
        )

    def _validated(self, role: str, path: Path, templar: Any, context: Mapping[str, Any]) -> dict[str, Any]:
        """The role's options, templated once and with their types; all wrong ones are reported together."""
        specs = self._load(path / "meta/argument_specs.yml").get("argument_specs", {})
        options = specs.get("main", {}).get("options", {})
        values = {key: templar.template(context[key]) for key in options if key in context}
        checked = ArgumentSpecValidator(options).validate(values)
        if checked.error_messages:
            raise AnsibleError(f"role {role}: {'; '.join(checked.error_messages)}")
        return {key: value for key, value in checked.validated_parameters.items() if value is not None}

    def _component(self, role: str, path: Path, templar: Any, item: Mapping[str, Any]) -> dict[str, Any]:
        unknown = set(item) - COMPONENT_KEYS
        if unknown:
            raise AnsibleError(f"role {role}: unknown keys in its component: {', '.join(sorted(unknown))}")
        if set(item.get("leaves", {})) - LEAVES:
            raise AnsibleError(f"role {role}: `leaves` has no keys but {', '.join(sorted(LEAVES))}")
        if "first_start" in item and not (item.get("unit") and _is_argv(item["first_start"])):
            raise AnsibleError(f"role {role}: `first_start` is a command, as a list of words, that starts its unit")
        user = item.get("user")
        unit = self._unit(path, templar, item)
        files = [self._file(role, path, templar, file, user or "root") for file in item.get("files", [])]
        if unit and unit.get("content"):
            files.append(
                {
                    "dest": f"/etc/systemd/system/{unit['name']}",
                    "content": unit["content"],
                    "owner": "root",
                    "group": "root",
                    "mode": "0644",
                    "restarts": None,
                    "secret": False,
                }
            )
        return {
            "name": item["name"],
            "packages": item.get("packages", []),
            "user": self._user(item),
            "binaries": [self._binary(role, binary) for binary in item.get("binaries", [])],
            "directories": [
                {"owner": "root", "group": "root", "mode": "0755", **directory}
                for directory in item.get("directories", [])
            ],
            "files": files,
            "unit": unit,
            "first_start": item.get("first_start"),
            "health": item.get("health"),
            "tls": item.get("tls", []),
            "rolling": bool(item.get("rolling", False)),
            "leaves": item.get("leaves", {}),
        }

    def _user(self, item: Mapping[str, Any]) -> dict[str, str] | None:
        home, shell = item.get("user_home", "/nonexistent"), item.get("user_shell", "/usr/sbin/nologin")
        return {"name": item["user"], "home": home, "shell": shell} if item.get("user") else None

    def _unit(self, path: Path, templar: Any, item: Mapping[str, Any]) -> dict[str, Any] | None:
        unit = item.get("unit")
        if not unit:
            return None
        content = self._template(path, templar, unit["template"]) if unit.get("template") else None
        return {
            "name": unit.get("name", f"{item['name']}.service"),
            "content": content,
            "reload": bool(unit.get("reload", False)),
        }

    def _file(self, role: str, path: Path, templar: Any, file: Mapping[str, Any], user: str) -> dict[str, Any]:
        sources = [key for key in ("template", "content", "pki") if key in file]
        if len(sources) != 1 or set(file) - FILE_KEYS:
            raise AnsibleError(
                f"role {role}: file {file.get('dest')} needs exactly one of template, content and pki, "
                f"and no keys but {', '.join(sorted(FILE_KEYS))}"
            )
        secret = bool(file.get("secret", file.get("pki", "").endswith(".key")))
        if "pki" in file:
            content = self._pki(file["pki"])
        else:
            content = self._template(path, templar, file["template"]) if "template" in file else str(file["content"])
        # A secret belongs to its service and to nobody else, and it travels apart from what Ansible may print.
        if secret:
            self.secrets[file["dest"]] = base64.b64encode(content.encode()).decode()
        owner = user if secret else "root"
        return {
            "dest": file["dest"],
            "content": None if secret else content,
            "secret": secret,
            "owner": file.get("owner", owner),
            "group": file.get("group", owner),
            "mode": file.get("mode", "0600" if secret else "0644"),
            "restarts": file.get("restarts"),
            **({"before_packages": True} if file.get("before_packages") else {}),
        }

    def _pki(self, name: str) -> str:
        try:
            return (self.pki_dir / name).read_text(encoding="utf-8")
        except OSError as error:
            raise AnsibleError(
                f"certificate or key {self.pki_dir / name}: {error.strerror}; "
                "the pki role issues it, run playbooks/site.yml from its start"
            ) from error

    def _template(self, path: Path, templar: Any, name: str) -> str:
        source = path / "templates" / name
        text = trust_as_template(self.loader.get_text_file_contents(str(source)))
        overrides = {"trim_blocks": True, "keep_trailing_newline": True}
        return str(templar.template(text, escape_backslashes=False, overrides=overrides))

    def _binary(self, role: str, binary: Any) -> dict[str, Any]:
        name = binary if isinstance(binary, str) else binary["name"]
        dest = f"/usr/local/bin/{name}" if isinstance(binary, str) else binary["dest"]
        try:
            artifact = self.artifacts[name]
        except KeyError as error:
            raise AnsibleError(
                f"role {role}: no artifact `{name}` for this host's architecture; "
                "the artifacts role provides what the lock file names"
            ) from error
        return {
            "name": name,
            "dest": dest,
            "sha256": artifact["sha256"],
            "size": artifact.get("size", 0),
            "version": artifact.get("version"),
        }


def _is_argv(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(word, str) for word in value)
