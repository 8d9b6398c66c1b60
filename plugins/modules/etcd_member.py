#!/usr/bin/python
# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Members of an etcd cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_member
short_description: Remove a member of an etcd cluster, unless that would end it
description:
  - Runs on a host that is another member, with its C(etcdctl).
  - Refuses when the members that would remain and are healthy are no majority of those that would remain.
version_added: 0.1.0
author: selfhosted.kubernetes contributors
attributes:
  check_mode: {support: full, description: It asks the cluster and refuses in the same way.}
  diff_mode: {support: none, description: The member is named.}
options:
  name:
    description: Name of the member, which is its host's name in the inventory.
    type: str
    required: true
  state:
    description: Only C(absent).
    type: str
    choices: [absent]
    default: absent
"""

EXAMPLES = r"""
- name: Take m2 out of etcd
  selfhosted.kubernetes.etcd_member:
    name: m2
    state: absent
"""

RETURN = r"""
members:
  description: Names of the members that remain; of one that never started its address.
  returned: success
  type: list
  elements: str
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._etcd import Member, members_of, refusal, who_stays
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._etcdctl import ETCDCTL, ask

# etcd counts a member as active when it has been connected for 5 s.
SETTLED_SECONDS = 20.0


def remove(module: AnsibleModule, going: Member, endpoints: list[str]) -> None:
    """As soon as etcd agrees, whose other members are asked."""
    command = [ETCDCTL, f"--endpoints={','.join(endpoints)}", "member", "remove", going.identity]
    deadline = time.monotonic() + SETTLED_SECONDS
    while True:
        code, output, error = module.run_command(command)
        if code == 0:
            return
        if "unhealthy cluster" not in error or time.monotonic() > deadline:
            module.fail_json(msg=f"etcd does not let {going.name} go: {(error or output).strip()}")
        time.sleep(1)


def main() -> None:
    """Look, decide, remove."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["absent"], "default": "absent"},
        },
        supports_check_mode=True,
    )
    name = module.params["name"]
    members = members_of(
        ask(module, ETCDCTL, "member", "list"), ask(module, ETCDCTL, "endpoint", "health", "--cluster")
    )
    rest = [member.name for member in members if member.name != name]
    for going in [member for member in members if member.name == name]:
        if reason := refusal(members, going):
            module.fail_json(msg=reason)
        if not module.check_mode:
            remove(module, going, who_stays(members, going))
    module.exit_json(changed=len(rest) < len(members), members=rest)


if __name__ == "__main__":
    main()
