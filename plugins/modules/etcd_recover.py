#!/usr/bin/python
# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster of one member of etcd, when the majority is lost for good."""

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_recover
short_description: Make etcd work again with one member, when the majority of its members is lost for good
description:
  - Runs on a host where C(roles/etcd) is installed. Without O(snapshot) its own data is used (etcd's
    C(--force-new-cluster)); writes that only lost members had are lost.
  - With O(snapshot) that takes the place of its data (C(etcdutl snapshot restore) with C(--bump-revision) and
    C(--mark-compacted)); all later writes are lost.
  - Refuses while a majority is there. B(Lost members must not come back with their data); they would be a cluster of
    their own.
  - The data that was there stays below C(/var/lib/etcd) until the new cluster answers, so there has to be room for
    both.
  - Killed at any point, it is simply run again.
version_added: 0.1.0
author: selfhosted.kubernetes contributors
attributes:
  check_mode: {support: full, description: Refuses in the same way, but for a damaged snapshot, and changes nothing.}
  diff_mode: {support: none, description: There is nothing to compare.}
options:
  snapshot:
    description: Path of a snapshot on the host, as C(etcdctl snapshot save) writes it, with its hash.
    type: path
  cluster_uid:
    description:
      - Uid of the namespace kube-system of this cluster; a snapshot with another one is refused.
      - Empty for that of the data that the host has.
    type: str
    default: ""
  timeout_seconds:
    description: How long etcd may take to answer after each start, in seconds.
    type: int
    default: 300
"""

EXAMPLES = r"""
- name: Go on with the data of the one member that is left
  selfhosted.kubernetes.etcd_recover:

- name: Go back to a snapshot
  selfhosted.kubernetes.etcd_recover:
    snapshot: /root/etcd.db
    cluster_uid: 0b6b5d4a-7d0f-4a3c-9f59-0d9a1c0c2f6e
"""

RETURN = r""" # """

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._component.alone import alone
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._component.host import ComponentError, Host
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._etcd_recover import RecoverError, Recovery


def main() -> None:
    """All of it is in Recovery."""
    module = AnsibleModule(
        argument_spec={
            "snapshot": {"type": "path"},
            "cluster_uid": {"type": "str", "default": ""},
            "timeout_seconds": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    recovery = Recovery(module.run_command, module.params["timeout_seconds"])
    snapshot, uid = module.params["snapshot"] or "", module.params["cluster_uid"]
    try:
        with alone(Host(), module.check_mode):
            changed = recovery.recover(snapshot, uid, module.check_mode)
    except (RecoverError, ComponentError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed)


if __name__ == "__main__":
    main()
