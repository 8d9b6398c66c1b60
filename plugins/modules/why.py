#!/usr/bin/python
# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why something of the cluster does not run; the work is in module_utils/_why."""

from __future__ import annotations

DOCUMENTATION = r"""
module: why
short_description: Why a pod does not start, where it runs, where its logs are
description:
  - Asks an API server at most 15 questions, and says in one sentence what is wrong, what that rests on, on which node
    and in which file the log is, what changed last, and what to do next.
  - Without O(target) it looks at everything, and groups what is not well by what is to blame.
  - Runs where there is a kubeconfig, as on masters. C(kubectl why) is the same.
  - It never fails because of what it finds, or does not find; RV(state) tells.
version_added: 0.1.0
author: selfhosted.kubernetes contributors
attributes:
  check_mode: {support: full, description: It only reads.}
  diff_mode: {support: none, description: It changes nothing.}
options:
  target:
    description:
      - C(NAMESPACE/POD), C(KIND/NAME), C(NAMESPACE/KIND/NAME) or C(NAME). Kinds are pod, deployment, replicaset,
        statefulset, daemonset, job, cronjob, service, pvc and node, with kubectl's short names.
      - Empty for everything.
    type: str
    default: ""
  namespace:
    description: Where O(target) is when it does not say so itself; empty for the kubeconfig's. Without O(target) the
      one to look at; empty for all.
    type: str
    default: ""
  kubeconfig:
    description: File on the host.
    type: path
    default: /etc/kubernetes/admin.conf
"""

EXAMPLES = r"""
- name: Ask why a pod does not start
  selfhosted.kubernetes.why:
    target: shop/web-6d4b75cb6d-x2x7p
  register: said

- name: Show it
  ansible.builtin.debug:
    msg: "{{ said.lines }}"
"""

RETURN = r"""
state:
  description: C(healthy), C(starting), C(broken), C(unclear) (not well, and nothing says why), or C(unreachable).
  returned: success
  type: str
verdict: {description: One sentence., returned: success, type: str}
lines: {description: All of it for people., returned: success, type: list, elements: str}
cause:
  description: The root cause, empty without one. C(code) and C(object) are for programs and stay the same.
  returned: with O(target)
  type: dict
  sample:
    code: ImageNotFound
    object: image/registry.example/shop/web:1.0
    verdict: "registry registry.example has no image registry.example/shop/web:1.0: its name or tag is wrong"
    evidence: ["event Failed (20 s ago, 4 times): Failed to pull image …"]
    table: []
    todo: crane ls registry.example/shop/web lists its tags; correct the image, or push it
    container: web
also: {description: Other causes., returned: with O(target), type: list, elements: dict}
where:
  description: Node, address and containers of the pod, each with its id, log files on the node and log store query.
  returned: with O(target), empty where there is no pod
  type: dict
changes: {description: 'What changed last, newest first.', returned: with O(target), type: list, elements: str}
causes:
  description: Each cause with its C(code), C(object), C(verdict), C(todo), and what suffers from it.
  returned: without O(target)
  type: list
  elements: dict
counts: {description: 'How much was seen, and how much of it is not well.', returned: without O(target), type: dict}
unknown: {description: What could not be asked., returned: success, type: list, elements: str}
requests: {description: How many questions it took., returned: success, type: int}
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._why import answer, client, status, target, text

KUBECTL = "/usr/local/bin/kubectl"


def main() -> None:
    """One answer; that there is none is one, too."""
    module = AnsibleModule(
        argument_spec={
            "target": {"type": "str", "default": ""},
            "namespace": {"type": "str", "default": ""},
            "kubeconfig": {"type": "path", "default": "/etc/kubernetes/admin.conf"},
        },
        supports_check_mode=True,
    )
    try:
        said = ask(module.params["target"], module.params["namespace"], module.params["kubeconfig"])
    except client.WhyError as error:
        state = "unreachable" if isinstance(error, client.UnreachableError) else "unknown"
        said = {"state": state, "verdict": str(error), "lines": [str(error)]}
    module.exit_json(changed=False, **said)


def ask(wanted: str, namespace: str, kubeconfig: str) -> dict[str, Any]:
    """Everything that is returned."""
    with client.Client(client.kubeconfig(kubeconfig, kubectl=KUBECTL)) as asking:
        if wanted:
            found = target.parse(wanted, namespace or asking.namespace, bool(namespace))
            said = answer.why(asking, found)
            return {**said, "lines": [line for _kind, line in text.lines(said)]}
        said = status.status(asking, namespace)
    lines = [line for _kind, line in text.groups(said)]
    return {**said, "state": "broken" if said["causes"] else "healthy", "verdict": lines[-1], "lines": lines}


if __name__ == "__main__":
    main()
