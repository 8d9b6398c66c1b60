# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Issue certificates and keys on the control node."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._pki.certificate import PkiError, Wanted
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._pki.store import Report, Store


class ActionModule(ActionBase):
    """See plugins/modules/pki.py for options and return values."""

    _supports_check_mode = True
    _supports_async = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Issue what is missing, wrong or close to its end."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        spec = {
            "pki_dir": {"type": "path", "required": True},
            "cas": {"type": "list", "elements": "dict", "required": True},
            "certificates": {"type": "list", "elements": "dict", "default": []},
            "keys": {"type": "list", "elements": "dict", "default": []},
            "user_cas": {"type": "dict", "default": {}},
            "ca_days": {"type": "int", "default": 3650},
            "certificate_days": {"type": "int", "default": 360},
            "passphrase": {"type": "str", "default": "", "no_log": True},
        }
        _validation, args = self.validate_argument_spec(argument_spec=spec)
        store = Store(args["pki_dir"], args["passphrase"], self._task.check_mode)
        cas = [{**ca, **args["user_cas"].get(ca["name"], {})} for ca in args["cas"]]
        unknown = set(args["user_cas"]) - {ca["name"] for ca in cas}
        if unknown:
            raise AnsibleActionFail(f"pki_user_cas: no CA is called {', '.join(sorted(unknown))}; there are {', '.join(ca['name'] for ca in cas)}")
        try:
            report = store.run(cas, [Wanted(**item) for item in args["certificates"]], args["keys"], {"ca": args["ca_days"], "leaf": args["certificate_days"]})
        except PkiError as error:
            raise AnsibleActionFail(str(error)) from error
        result.update(describe(report))
        return result


def describe(report: Report) -> dict[str, Any]:
    """The result, and a diff that names certificates and reasons and never a key."""
    lines = "".join(f"{item['name']}: {item['reason']}{', valid until ' + item['not_after'] if item['not_after'] else ''}\n" for item in report.issued)
    result: dict[str, Any] = {"changed": bool(report.issued), "issued": report.issued, "diff": {"before": "", "after": lines}}
    if report.first:
        result["expires_first"] = {"name": report.first[1], "days": (report.first[0] - datetime.now(timezone.utc)).days}
    return result
