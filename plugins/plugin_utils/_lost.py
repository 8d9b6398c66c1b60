# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts that a run lost on its way."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail


def refuse_without_lost_hosts(variables: dict[str, Any]) -> None:
    """Fail where a host of the play failed or was not reached earlier in the run; `variables` are the task's.

    Ansible goes on with the next batch of a play with `serial`, and with later plays, after a host that could not be
    reached, for all that any_errors_fatal says: so one broken master would be followed by another.
    """
    lost = sorted(set(variables.get("ansible_play_hosts_all", ())) - set(variables.get("ansible_play_hosts", ())))
    if lost:
        raise AnsibleActionFail(
            f"{', '.join(lost)}: not reached, or failed, earlier in this run (see above). So nothing more was changed: "
            "mend that, then run the playbook again"
        )
