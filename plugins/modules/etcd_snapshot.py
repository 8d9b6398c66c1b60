#!/usr/bin/python
# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A verified snapshot of etcd."""

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_snapshot
short_description: Save a snapshot of etcd and verify it
description:
  - Runs on a member's host, with its C(etcdctl) and C(etcdutl). Refuses while a member is not healthy.
  - The snapshot is written beside its destination, compared with its own hash and read by C(etcdutl snapshot status),
    and only then it gets its name; its mode is 0600. One that cannot be verified is removed.
version_added: 0.1.0
author: selfhosted.kubernetes contributors
attributes:
  check_mode: {support: full, description: Asks for the health of all members and saves nothing.}
  diff_mode: {support: none, description: There is nothing to compare.}
options:
  dest:
    description: Path of the snapshot on the host; its folder is made, 0700.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: Save all data of the cluster
  selfhosted.kubernetes.etcd_snapshot:
    dest: /var/lib/selfhosted-kubernetes/snapshots/before.db
"""

RETURN = r"""
snapshot:
  description: What C(etcdutl snapshot status) says.
  returned: success, but for check mode
  type: dict
  sample: {hash: 3041261537, revision: 1203, totalKey: 702, totalSize: 3862528, version: 3.7.0}
"""

from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._backup.common import BackupError
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._backup.etcd import refuse_damaged
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._etcdctl import ETCDCTL, ETCDUTL, ask


def save(module: AnsibleModule, dest: Path) -> Any:
    """Save beside the destination, verify, rename."""
    dest.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = dest.with_name(f".{dest.name}.part")
    try:
        # A snapshot is taken from one member, this one.
        code, output, error = module.run_command(
            [ETCDCTL, "--endpoints=https://127.0.0.1:2379", "snapshot", "save", str(part)]
        )
        if code:
            module.fail_json(msg=f"etcd gave no snapshot: {(error or output).strip()}")
        refuse_damaged(part)
        status = ask(module, ETCDUTL, "snapshot", "status", str(part))
        part.chmod(0o600)
        part.replace(dest)
    finally:
        part.unlink(missing_ok=True)
        part.with_name(f"{part.name}.part").unlink(missing_ok=True)
    return status


def main() -> None:
    """Ask, save, verify."""
    module = AnsibleModule(argument_spec={"dest": {"type": "path", "required": True}}, supports_check_mode=True)
    health = ask(module, ETCDCTL, "endpoint", "health", "--cluster")
    sick = [f"{entry['endpoint']}: {entry.get('error', 'not healthy')}" for entry in health if not entry.get("health")]
    if sick:
        module.fail_json(msg=f"not every member of etcd is healthy; repair that first: {'; '.join(sick)}")
    if module.check_mode:
        module.exit_json(changed=True)
    try:
        module.exit_json(changed=True, snapshot=save(module, Path(module.params["dest"])))
    except BackupError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"{module.params['dest']}: {error.strerror}")


if __name__ == "__main__":
    main()
