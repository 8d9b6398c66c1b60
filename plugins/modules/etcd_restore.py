#!/usr/bin/python
# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole cluster back to a snapshot of etcd."""

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_restore
short_description: Restore a snapshot on every member of etcd, in steps that all members take together
description:
  - Runs on all hosts with etcd, three times. V(prepared) may be done while everything runs. All API servers and all
    members have to be stopped before the first host is V(started), which waits for the others.
  - Revisions are raised by a thousand million and marked as compacted (C(etcdutl snapshot restore) with
    C(--bump-revision) and C(--mark-compacted)), so that whoever watches lists again.
  - The data that was there stays in C(/var/lib/etcd/before-restore) until V(finished), so there has to be room for
    both.
  - Killed at any point, it is run again from V(prepared).
version_added: 0.1.0
author: selfhosted.kubernetes contributors
attributes:
  check_mode: {support: none, description: The step before decides what a step finds.}
  diff_mode: {support: none, description: There is nothing to compare.}
options:
  state:
    description:
      - V(prepared) refuses a snapshot that is damaged or of another cluster, and makes data of it beside what is there.
      - V(started) puts it in the place of what was there, and starts etcd.
      - V(finished) removes what was there.
    type: str
    choices: [prepared, started, finished]
    required: true
  members:
    description: All members, as C(NAME=PEER_URL).
    type: list
    elements: str
    required: true
  snapshot:
    description: Path of the snapshot on the host; for V(prepared).
    type: path
  token:
    description: Name of the restored cluster of etcd, another one than it had; for V(prepared).
    type: str
  cluster_uid:
    description:
      - Uid of the namespace kube-system of this cluster; a snapshot with another one is refused.
      - Empty for that of the data that the host has.
    type: str
    default: ""
  timeout_seconds:
    description: How long etcd may take to answer, in seconds.
    type: int
    default: 300
"""

EXAMPLES = r"""
- name: Make data of the snapshot
  selfhosted.kubernetes.etcd_restore:
    state: prepared
    members: ["m1=https://10.0.0.11:2380", "m2=https://10.0.0.12:2380", "m3=https://10.0.0.13:2380"]
    snapshot: /root/etcd.db
    token: restore-3f2a1b9c
    cluster_uid: 0b6b5d4a-7d0f-4a3c-9f59-0d9a1c0c2f6e
"""

RETURN = r"""
objects:
  description: Objects by kind, before V(prepared) and after V(started); empty where no majority answers.
  returned: success, but for V(finished)
  type: dict
  sample: {configmaps: 14, pods: 31, secrets: 2}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._component.alone import alone
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._component.host import ComponentError, Host
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._etcd_recover import RecoverError
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._etcd_restore import Restoration


def step(restoration: Restoration, given: dict[str, Any]) -> dict[str, Any]:
    """One of the three."""
    if given["state"] == "finished":
        restoration.finish(check=False)
        return {}
    if given["state"] == "prepared":
        restoration.prepare(given["snapshot"], given["cluster_uid"], given["members"], given["token"])
    else:
        restoration.start(len(given["members"]))
    return {"objects": restoration.objects()}


def main() -> None:
    """All of it is in Restoration."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["prepared", "started", "finished"], "required": True},
            "members": {"type": "list", "elements": "str", "required": True},
            "snapshot": {"type": "path"},
            # Not the kind that is secret.
            "token": {"type": "str", "no_log": False},
            "cluster_uid": {"type": "str", "default": ""},
            "timeout_seconds": {"type": "int", "default": 300},
        },
        required_if=[("state", "prepared", ["snapshot", "token"])],
    )
    restoration = Restoration(module.run_command, module.params["timeout_seconds"])
    try:
        with alone(Host(), check=False):
            answer = step(restoration, module.params)
    except (RecoverError, ComponentError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=True, **answer)


if __name__ == "__main__":
    main()
