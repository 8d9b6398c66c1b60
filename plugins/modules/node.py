#!/usr/bin/python
# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node of the cluster: drained, taking pods again, or gone."""

from __future__ import annotations

DOCUMENTATION = r"""
module: node
short_description: Drain a node, let it take pods again, or delete it
description:
  - Runs on a master (or outside host), with its C(kubectl) and the administrator's kubeconfig.
  - A node that it cordons gets the annotation C(selfhosted.kubernetes/drained), in the same write. Only a node with it
    is uncordoned again; what a person has cordoned stays cordoned.
version_added: 0.1.0
author: selfhosted.kubernetes contributors
attributes:
  check_mode: {support: full, description: Says whether something would be done.}
  diff_mode: {support: none, description: There is nothing to compare.}
options:
  name:
    description: Name of the node.
    type: str
    required: true
  state:
    description:
      - V(drained) cordons it and evicts its pods; PodDisruptionBudgets are respected. Where that fails, each pod in the
        way is named, and the node takes pods again as before. A node that does not exist is no error.
      - V(schedulable) waits until it is Ready, and undoes what V(drained) did.
      - V(absent) deletes it from the API.
    type: str
    choices: [drained, schedulable, absent]
    required: true
  version:
    description: For V(schedulable), the version that its kubelet must have, without the leading v; empty for any.
    type: str
    default: ""
  timeout_seconds:
    description: How long V(drained) waits for pods to leave, and V(schedulable) for the node.
    type: int
    default: 300
"""

EXAMPLES = r"""
- name: Move pods away from w1
  selfhosted.kubernetes.node:
    name: w1
    state: drained
    timeout_seconds: 600

- name: Let them come back
  selfhosted.kubernetes.node:
    name: w1
    state: schedulable
    version: 1.37.2
"""

RETURN = r""" # """

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._node import Node, NodeError

KUBECTL = ["/usr/local/bin/kubectl", "--kubeconfig=/etc/kubernetes/admin.conf"]


def main() -> None:
    """Ask and change through kubectl."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["drained", "schedulable", "absent"], "required": True},
            "version": {"type": "str", "default": ""},
            "timeout_seconds": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    parameters = module.params
    node = Node(parameters["name"], lambda *words: module.run_command([*KUBECTL, *words]), module.check_mode)
    seconds = parameters["timeout_seconds"]
    actions = {
        "drained": lambda: node.drain(seconds),
        "schedulable": lambda: node.resume(parameters["version"], seconds),
        "absent": node.delete,
    }
    try:
        module.exit_json(changed=actions[parameters["state"]]())
    except NodeError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
