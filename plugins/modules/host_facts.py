#!/usr/bin/python
# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the cluster role checks on a host; the work is in module_utils/_host_facts.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: host_facts
short_description: What the cluster role checks on a host before it touches anything
description:
  - Reads C(/proc), C(/sys) and a few files in one quick pass, without a subprocess.
  - An action plugin of the same name adds the control node's clock before and after the call.
author: selfhosted.kubernetes contributors (@selfhosted)
version_added: 0.1.0
options:
  address:
    description: The host's address in the cluster; RV(mtu) is that of the interface which carries it.
    type: str
    default: ""
  devices:
    description: Disks that are looked at; the action plugin gives those of the host's C(ceph_osds).
    type: list
    elements: path
    default: []
attributes:
  check_mode:
    description: Runs the same in check mode, as it changes nothing.
    support: full
  diff_mode:
    description: Has nothing to show.
    support: none
notes:
  - Without root, programs that belong to others cannot be seen; their listeners then show C(null) as their process.
  - The answer is meant to be registered as C(cluster_host).
"""

EXAMPLES = r"""
- name: Look at the host
  selfhosted.kubernetes.host_facts:
    address: 192.0.2.11
  register: cluster_host
"""

RETURN = r"""
os_family:
  description: Family of distributions (Debian or RedHat) or the distribution's own id
  type: str
  returned: success
  sample: Debian
distribution:
  description: ID of os-release(5)
  type: str
  returned: success
  sample: debian
distribution_version:
  description: VERSION_ID of os-release(5)
  type: str
  returned: success
  sample: "12"
architecture:
  description: amd64, arm64, or the kernel's own name
  type: str
  returned: success
  sample: amd64
python:
  description: Version of the Python that runs modules
  type: str
  returned: success
  sample: 3.11.2
swap_bytes:
  description: Size of all swap that is on
  type: int
  returned: success
  sample: 0
memory_bytes:
  description: Memory
  type: int
  returned: success
  sample: 4110876672
disk_free:
  description: Free bytes below C(/var/lib) and C(/usr/local)
  type: dict
  returned: success
  sample: {/var/lib: 21474836480, /usr/local: 21474836480}
osd_free:
  description: Free bytes where OSDs have their files (C(/var/lib/ceph/osd))
  type: int
  returned: success
  sample: 21474836480
kubelet_disks:
  description: Free bytes and size of the file systems that the kubelet watches, C(nodefs) and C(imagefs)
  type: dict
  returned: success
  sample: {nodefs: [21474836480, 42949672960], imagefs: [21474836480, 42949672960]}
machine_id:
  description: Machine id of systemd
  type: str
  returned: success
  sample: 0f3ad0aa1a2c4a1f8b7f3b9d4d1c2e3f
listeners:
  description: Sockets that wait for connections or datagrams
  type: list
  elements: dict
  returned: success
  sample: [{proto: tcp, address: 0.0.0.0, port: 22, process: sshd}]
ceph:
  description: Version of the installed C(ceph) command; empty without one
  type: str
  returned: success
  sample: 19.2.3
fuse:
  description: Whether the kernel has FUSE
  type: bool
  returned: success
  sample: true
kernel:
  description: Release of the kernel
  type: str
  returned: success
  sample: 6.1.0-44-amd64
kernel_ceph:
  description: Whether the kernel has the file system ceph, or a module of it
  type: bool
  returned: success
  sample: false
addresses:
  description: All IPv4 addresses of the host
  type: list
  elements: str
  returned: success
  sample: [127.0.0.1, 192.0.2.11]
devices:
  description:
    - Of each of O(devices) its C(kind) (C(disk), C(other) or C(absent)), C(used_by), and C(holds) (empty, C(osd) or
      C(data)).
  type: dict
  returned: success
  sample: {/dev/sdb: {kind: disk, used_by: "", holds: ""}}
interface:
  description: Interface that carries O(address); null when none does
  type: str
  returned: success
  sample: eth0
mtu:
  description: MTU of that interface in bytes
  type: int
  returned: success
  sample: 1500
prefix:
  description: Prefix length of O(address) on that interface
  type: int
  returned: success
  sample: 24
cgroup:
  description: v1 or v2
  type: str
  returned: success
  sample: v2
versions:
  description: Version of each installed component
  type: dict
  returned: success
  sample: {kubelet: 1.37.2}
systemd:
  description: Version of the running systemd; null when the host runs another init
  type: str
  returned: success
  sample: "252"
resolv_conf:
  description: Resolver configuration with real servers in it
  type: str
  returned: success
  sample: /etc/resolv.conf
clock:
  description:
    - Host's time and the control node's before and after the call (seconds since 1970), and whether a time service
      keeps the host's, as its kernel knows it
  type: dict
  returned: success
  sample: {host: 2.5, before: 2.1, after: 2.9, synchronized: true}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._host_facts import gather


def main() -> None:
    """Answer with the facts themselves, so that they can be registered under one name."""
    spec = {"address": {"type": "str", "default": ""}, "devices": {"type": "list", "elements": "path", "default": []}}
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    module.exit_json(changed=False, **gather(module.params["address"], disks=module.params["devices"]))


if __name__ == "__main__":
    main()
