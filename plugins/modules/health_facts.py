#!/usr/bin/python
# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host says about its health; the work is in module_utils/_health."""

from __future__ import annotations

DOCUMENTATION = r"""
module: health_facts
short_description: What a host says about its components, certificates, disks and, as a member, about the cluster
description:
  - Asks everything at the same time, each question for a few seconds at most, and judges nothing;
    M(selfhosted.kubernetes.health_report) does.
  - What is asked follows from the host's own records in C(/var/lib/selfhosted-kubernetes). Hosts with etcd, an API
    server or a load balancer also say what these know of the cluster.
  - An action plugin of the same name adds the control node's clock. That a host cannot be reached or asked is an
    answer, RV(silent), and no error, so that the others are judged all the same.
  - Certificates are returned, keys and other contents of files are not.
version_added: 0.1.0
author: selfhosted.kubernetes contributors
attributes:
  check_mode: {support: full, description: It changes nothing.}
  diff_mode: {support: none, description: It changes nothing.}
"""

EXAMPLES = r"""
- name: Ask every host
  selfhosted.kubernetes.health_facts:
  register: asked
"""

RETURN = r"""
silent:
  description: Why the host said nothing; then there is no other value.
  returned: when it cannot be reached or asked
  type: str
components:
  description:
    - By name its version, unit and state, the complaint of its health, and whether it is interrupted.
    - C(restarts) counts how often systemd started it again by itself, C(seconds) since when its unit is active.
    - What is not well has the last complaints of its C(journal), and who listens where another has its port.
  returned: otherwise
  type: dict
certificates:
  description: DER in base64, of C(files) with their paths and as C(served) at addresses.
  returned: otherwise
  type: dict
failed_units: {description: Names of units that failed., returned: otherwise, type: list, elements: str}
disks:
  description: File systems with used and free bytes and inodes, and whether they can only be read.
  returned: otherwise
  type: list
  elements: dict
memory: {description: Bytes in all and available., returned: otherwise, type: dict}
etcd: {description: The member's status and the members that it knows., returned: with etcd, type: dict}
api: {description: Version of the API server and objects in short., returned: with an API server, type: dict}
backends: {description: State of each API server by name., returned: with a load balancer, type: dict}
clock: {description: The host's time between two of the control node., returned: otherwise, type: dict}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._component.host import Host
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._health.observe import observe


def main() -> None:
    """It has no options: a host says all or nothing."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    try:
        module.exit_json(changed=False, **observe(Host()))
    except OSError as error:
        module.fail_json(msg=f"its records cannot be read: {error}")


if __name__ == "__main__":
    main()
