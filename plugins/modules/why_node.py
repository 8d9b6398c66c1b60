#!/usr/bin/python
# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node has of a pod while no API server answers; the work is in module_utils/_why/on_node.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: why_node
short_description: What a node itself has of a pod, whether or not an API server or the kubelet runs
description:
  - Reads the kubelet's log files below C(/var/log/pods) and what containerd noted of containers. No daemon is asked.
  - M(selfhosted.kubernetes.why) knows more, as long as an API server answers.
version_added: 0.1.0
author: selfhosted.kubernetes contributors
attributes:
  check_mode: {support: full, description: It only reads.}
  diff_mode: {support: none, description: It changes nothing.}
options:
  target:
    description: As of M(selfhosted.kubernetes.why). Where no pod has the name, all whose names begin with it.
    type: str
    required: true
  namespace:
    description: Where O(target) is when it does not say so itself.
    type: str
    default: default
"""

EXAMPLES = r"""
- name: Ask each node what it has of a pod
  selfhosted.kubernetes.why_node:
    target: shop/web-6d4b75cb6d-x2x7p
"""

RETURN = r"""
pods:
  description: Each with its uid and its containers with id, state, exit code, restarts, log file and last lines.
  returned: success
  type: list
  elements: dict
lines: {description: The same for people., returned: success, type: list, elements: str}
"""

import socket
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._why import client, on_node, target


def main() -> None:
    """All that there is; nothing is an answer, too."""
    module = AnsibleModule(
        argument_spec={
            "target": {"type": "str", "required": True},
            "namespace": {"type": "str", "default": "default"},
        },
        supports_check_mode=True,
    )
    try:
        wanted = target.parse(module.params["target"], module.params["namespace"], given=False)
    except client.WhyError as error:
        module.fail_json(msg=str(error))
    found = on_node.pods(Path("/"), wanted.namespace, wanted.name)
    module.exit_json(changed=False, pods=found, lines=on_node.shown(socket.gethostname(), found))


if __name__ == "__main__":
    main()
