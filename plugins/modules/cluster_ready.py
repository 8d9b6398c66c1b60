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
  - Then it notes on each node what this run has changed there, for C(kubectl why).
version_added: 0.1.0
author: selfhosted.kubernetes contributors
attributes:
  check_mode: {support: full, description: In check mode it does not wait and notes nothing.}
  diff_mode: {support: none, description: What it notes is not shown.}
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
  record:
    description:
      - File of the control node that gets the uid of the cluster, which is that of its namespace kube-system. While it
        is there, C(roles/etcd) begins no other cluster.
      - C(kubernetes-version) beside it gets O(version) where all masters are in O(nodes). Nodes that are new in a run
        without masters get no other one.
      - Without it nothing is written.
    type: path
  applied:
    description:
      - By node what M(selfhosted.kubernetes.component) returned as C(components).
      - Components that changed are noted in the node's annotation C(selfhosted.kubernetes/site-run), after the time;
        one that cannot be noted is a warning.
    type: dict
    default: {}
  timeout_seconds:
    description: How long to wait, in seconds.
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
cluster_uid:
  description: Uid of the namespace kube-system.
  returned: success, but for check mode
  type: str
not_ready:
  description: What was not ready, a line each.
  returned: in check mode, where something is not
  type: list
  elements: str
"""

import json
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._cluster_ready import complaints
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._why.where import SITE_RUN

KUBECTL = ["/usr/local/bin/kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "--request-timeout=5s"]
# Pods are asked for only to explain; all kinds together are one process and three small requests.
KINDS = "nodes,deployments.apps,apiservices.apiregistration.k8s.io,namespaces"


def main() -> None:
    """Poll until there is nothing to complain about."""
    module = AnsibleModule(
        argument_spec={
            "nodes": {"type": "list", "elements": "str", "required": True},
            "version": {"type": "str", "default": ""},
            "deployments": {"type": "list", "elements": "str", "default": []},
            "apiservices": {"type": "list", "elements": "str", "default": []},
            "record": {"type": "path"},
            "applied": {"type": "dict", "default": {}},
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
        objects = json.loads(output)["items"] if code == 0 else []
        lines = complaints(objects, *wanted) if code == 0 else [error.strip()]
        if not lines:
            note(module, [item["metadata"]["name"] for item in objects if item["kind"] == "Node"])
            seconds = round(time.monotonic() - started, 1)
            module.exit_json(changed=False, waited_seconds=seconds, cluster_uid=uid_of(objects))
        if module.check_mode:
            module.exit_json(changed=False, waited_seconds=0.0, not_ready=lines)
        if last:
            module.fail_json(
                msg=f"the cluster is not ready after {module.params['timeout_seconds']} s: " + "; ".join(lines)
            )
        time.sleep(0.5)


def note(module: AnsibleModule, nodes: list[str]) -> None:
    """What this run has changed on nodes that are there: one call for all."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    items = [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "annotations": {SITE_RUN: f"{now} {', '.join(on)}"}},
        }
        for name, on in changed(module.params["applied"]).items()
        if name in nodes
    ]
    if not items or module.check_mode:
        return
    command = [*KUBECTL, "apply", "--server-side", "--field-manager=selfhosted-kubernetes", "--filename=-"]
    code, _output, error = module.run_command(
        command, data=json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    )
    if code != 0:
        module.warn(f"what this run has changed is not noted on nodes: {error.strip()}")


def changed(applied: dict[str, Any]) -> dict[str, list[str]]:
    """Names of components by host, of those where something changed."""
    found = {host: [name for name, it in (said or {}).items() if it.get("changed")] for host, said in applied.items()}
    return {host: names for host, names in found.items() if names}


def uid_of(objects: list[dict[str, Any]]) -> str:
    """What a cluster is known by: the uid of a namespace that is there from its beginning to its end."""
    found = (item["metadata"] for item in objects if item["kind"] == "Namespace")
    return next((str(it["uid"]) for it in found if it["name"] == "kube-system"), "")


if __name__ == "__main__":
    main()
