#!/usr/bin/python
# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait until the pods of a node can do without an old CA or key."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pod_credentials
short_description: Wait until all pods of a node have new CAs, and no token of an old key
description:
  - Reads the files that the kubelet keeps up to date in pods' service account volumes, on the node itself. A kubelet
    brings a new CA within two minutes, and a new token when four fifths of the old one's life are over, or when it is
    restarted itself.
  - Whether the programs in the pods have read them, is not known. client-go reads a CA again after five minutes (since
    version 0.36; before, only at its start), and a token after one.
version_added: 0.1.0
author: selfhosted.kubernetes contributors
attributes:
  check_mode: {support: full, description: It only reads; in check mode it does not wait.}
  diff_mode: {support: none, description: It changes nothing.}
options:
  ca:
    description: CAs in PEM, all of which every pod must trust.
    type: str
    default: ""
  old_key_id:
    description: The C(kid) of tokens that no pod may have any more.
    type: str
    default: ""
  timeout_seconds:
    description: How long to wait.
    type: int
    default: 240
"""

EXAMPLES = r"""
- name: Wait until pods trust the coming CA
  selfhosted.kubernetes.pod_credentials:
    ca: "{{ lookup('ansible.builtin.file', 'state/pki/ca/kubernetes.crt') }}"
"""

RETURN = r"""
waited_seconds:
  description: How long it took.
  returned: success
  type: float
pods:
  description: Pods that still need the old ones, a line each.
  returned: in check mode
  type: list
  elements: str
"""

import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._pod_credentials import complaints


def main() -> None:
    """Look until there is nothing to complain about."""
    module = AnsibleModule(
        argument_spec={
            "ca": {"type": "str", "default": ""},
            "old_key_id": {"type": "str", "default": "", "no_log": False},
            "timeout_seconds": {"type": "int", "default": 240},
        },
        supports_check_mode=True,
    )
    started = time.monotonic()
    while True:
        lines = complaints(Path("/"), module.params["ca"], module.params["old_key_id"])
        waited = round(time.monotonic() - started, 1)
        if not lines or module.check_mode:
            module.exit_json(changed=False, waited_seconds=waited, pods=lines)
        if waited > module.params["timeout_seconds"]:
            module.fail_json(
                msg=f"after {waited:.0f} s: {'; '.join(lines)}: see `journalctl -u kubelet`, then run again"
            )
        time.sleep(1)


if __name__ == "__main__":
    main()
