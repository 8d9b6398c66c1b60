#!/usr/bin/python
# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove every component from a host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: reset
short_description: Remove all that the component module ever put on a host, and what it made while it ran
description:
  - Works by the host's own records in C(/var/lib/selfhosted-kubernetes); needs neither the inventory's values nor a
    running cluster.
  - Stops and removes units, ends pods, unmounts their volumes, deletes interfaces and nft tables, and removes files,
    programs and data. Packages, system users and the journal stay.
  - B(All data of the components is lost), that of etcd and of the registry too.
version_added: 0.1.0
author: selfhosted.kubernetes contributors
attributes:
  check_mode: {support: full, description: Says what would be removed.}
  diff_mode: {support: none, description: RV(removed) names everything.}
"""

EXAMPLES = r"""
- name: Remove everything from a host that leaves the cluster
  selfhosted.kubernetes.reset:
"""

RETURN = r"""
removed:
  description: What was removed, a line each.
  returned: success
  type: list
  elements: str
  sample: [unit kubelet.service, interface cni0, nft table ip kube-proxy, /var/lib/kubelet]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._component.alone import alone
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._component.host import ComponentError, Host
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._component.reset import run


def main() -> None:
    """It has no options: a host has it all or nothing."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    host, check = Host(), module.check_mode
    try:
        with alone(host, check):
            removed = run(host, check)
    except (ComponentError, OSError) as error:
        module.fail_json(msg=f"{error}; what was not removed yet is removed by the next run")
    module.exit_json(changed=bool(removed), removed=removed)


if __name__ == "__main__":
    main()
