#!/usr/bin/python
# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait until a cluster is ready, and say what it waits for when it does not get so."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_ready
short_description: Wait until nodes, deployments and API services are ready
description:
  - Runs on a master (or outside host), with one C(kubectl get) a poll.
  - On timeout one error names each thing that is not ready, and why.
version_added: 0.1.0
author: selfhosted.kubernetes contributors
attributes:
  check_mode: {support: full, description: It only reads; in check mode it does not wait.}
  diff_mode: {support: none, description: It changes nothing.}
options:
  nodes:
    description: Names of nodes that must be registered and Ready.
    type: list
    elements: str
    required: true
  version:
    description: Version that their kubelets must have, without the leading v; empty for any.
    type: str
    default: ""
  deployments:
    description: Deployments as NAMESPACE/NAME whose pods must all be available.
    type: list
    elements: str
    default: []
  apiservices:
    description: API services that must be available.
    type: list
    elements: str
    default: []
  timeout_seconds:
    description: How long to wait.
    type: int
    default: 180
"""

EXAMPLES = r"""
- name: Wait until the cluster is ready
  selfhosted.kubernetes.cluster_ready:
    nodes: [m1, w1]
    version: 1.37.2
    deployments: [kube-system/coredns]
"""

RETURN = r"""
waited_seconds:
  description: How long it took.
  returned: success
  type: float
not_ready:
  description: What was not ready, a line each.
  returned: in check mode, where something is not
  type: list
  elements: str
"""

import json
import time
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._cluster_ready import complaints

KUBECTL = ["/usr/local/bin/kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "--request-timeout=5s"]
# Pods are asked for only to explain; all kinds together are one process and three small requests.
KINDS = "nodes,deployments.apps,apiservices.apiregistration.k8s.io"


def main() -> None:
    """Poll until there is nothing to complain about."""
    module = AnsibleModule(
        argument_spec={
            "nodes": {"type": "list", "elements": "str", "required": True},
            "version": {"type": "str", "default": ""},
            "deployments": {"type": "list", "elements": "str", "default": []},
            "apiservices": {"type": "list", "elements": "str", "default": []},
            "timeout_seconds": {"type": "int", "default": 180},
        },
        supports_check_mode=True,
    )
    if module.check_mode and not Path(KUBECTL[0]).exists():
        # A first run that is only predicted: there is no cluster yet.
        module.exit_json(changed=False, waited_seconds=0.0, not_ready=[f"{KUBECTL[0]} is not installed yet"])
    wanted = [module.params[name] for name in ("nodes", "version", "deployments", "apiservices")]
    started = time.monotonic()
    while True:
        last = time.monotonic() - started > module.params["timeout_seconds"] or module.check_mode
        code, output, error = module.run_command(
            [*KUBECTL, "get", KINDS + (",pods" if last else ""), "--all-namespaces", "--output=json"]
        )
        lines = complaints(json.loads(output)["items"], *wanted) if code == 0 else [error.strip()]
        if not lines:
            module.exit_json(changed=False, waited_seconds=round(time.monotonic() - started, 1))
        if module.check_mode:
            module.exit_json(changed=False, waited_seconds=0.0, not_ready=lines)
        if last:
            module.fail_json(
                msg=f"the cluster is not ready after {module.params['timeout_seconds']} s: " + "; ".join(lines)
            )
        time.sleep(0.5)


if __name__ == "__main__":
    main()
