# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Issue certificates and keys on the control node."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._pki.certificate import PkiError, Wanted
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._pki.report import describe
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._pki.rotation import PHASES
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._pki.store import Store

NAMES = {"type": "list", "elements": "str", "default": []}
SPEC: dict[str, dict[str, Any]] = {
    "pki_dir": {"type": "path", "required": True},
    "cas": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {"name": {"type": "str", "required": True}, "cn": {"type": "str", "required": True}},
    },
    "certificates": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "ca": {"type": "str", "required": True},
            "cn": {"type": "str", "required": True},
            "usages": {"type": "list", "elements": "str", "choices": ["server", "client"], "required": True},
            "o": NAMES,
            "dns": NAMES,
            "ip": NAMES,
        },
    },
    "keys": {
        "type": "list",
        "elements": "dict",
        "default": [],
        # Names and kinds of keys, nothing secret.
        "no_log": False,
        "options": {
            "name": {"type": "str", "required": True},
            "type": {"type": "str", "choices": ["pair", "random"], "required": True},
        },
    },
    "user_cas": {"type": "dict", "default": {}},
    "rotate": {
        "type": "dict",
        "options": {
            "what": {"type": "str", "required": True},
            "phase": {"type": "str", "choices": list(PHASES), "required": True},
        },
    },
    "ca_days": {"type": "int", "default": 3650},
    "certificate_days": {"type": "int", "default": 360},
    "passphrase": {"type": "str", "default": "", "no_log": True},
}


class ActionModule(ActionBase):
    """See plugins/modules/pki.py for options and return values."""

    _supports_check_mode = True
    _supports_async = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Issue what is missing, wrong or close to its end."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, args = self.validate_argument_spec(argument_spec=SPEC)
        store = Store(args["pki_dir"], args["passphrase"], self._task.check_mode)
        days = {"ca": args["ca_days"], "leaf": args["certificate_days"]}
        try:
            cas = with_users(args["cas"], args["user_cas"])
            certificates = [Wanted.of(item) for item in args["certificates"]]
            report = store.run(cas, certificates, args["keys"], days, args["rotate"])
        except PkiError as error:
            raise AnsibleActionFail(str(error)) from error
        result.update(describe(report, store.now, self._task.diff))
        return result


def with_users(cas: list[dict[str, Any]], users: dict[str, Any]) -> list[dict[str, Any]]:
    """The CAs, with the paths of those that the user brings."""
    names = [ca["name"] for ca in cas]
    if unknown := sorted(set(users) - set(names)):
        raise PkiError(f"pki_user_cas: no CA is called {', '.join(unknown)}; there are {', '.join(names)}")
    for name, paths in users.items():
        if not isinstance(paths, dict) or set(paths) != {"certificate", "key"}:
            raise PkiError(f"pki_user_cas.{name}: give the two paths `certificate` and `key`")
    return [{**ca, **users.get(ca["name"], {})} for ca in cas]
