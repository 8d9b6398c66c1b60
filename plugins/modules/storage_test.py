#!/usr/bin/python
# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a StorageClass can do; the work is in module_utils/_storage_test.py."""

from __future__ import annotations

DOCUMENTATION = r"""
module: storage_test
short_description: Try what a StorageClass can do
description:
  - Makes claims and pods in a namespace of its own, writes, reads, fills, moves and enlarges, and removes all of it.
  - Runs where kubectl does; fails when something that the class promises cannot be done, or data is not the same.
author: selfhosted.kubernetes contributors (@selfhosted)
version_added: 0.1.0
options:
  storage_class:
    description: Name of the StorageClass.
    type: str
    required: true
  image:
    description: Image of volume-tester.
    type: str
    required: true
  kubectl:
    description: Path of kubectl.
    type: path
    default: /usr/local/bin/kubectl
  kubeconfig:
    description: Path of a kubeconfig of an administrator.
    type: path
    default: /etc/kubernetes/admin.conf
  namespace:
    description: Namespace that is made and removed.
    type: str
    default: storage-test
  step:
    description:
      - V(suite) is all that needs nobody's help.
      - V(prepare_loss) makes a pod and says on which node it runs.
      - V(loss) waits until that runs elsewhere, after somebody cut the node's power.
    type: str
    choices: [suite, prepare_loss, loss]
    default: suite
  before:
    description: What V(prepare_loss) returned, for V(loss).
    type: dict
    default: {}
attributes:
  check_mode:
    description: Cannot be tried without doing it.
    support: none
  diff_mode:
    description: Has nothing to show.
    support: none
"""

EXAMPLES = r"""
- name: Try the class shared
  selfhosted.kubernetes.storage_test:
    storage_class: shared
    image: selfhosted.kubernetes/volume-tester:1.0.0
"""

RETURN = r"""
results:
  description: Of each check whether it can be done (null where the class does not promise it), seconds, and a detail.
  returned: always
  type: list
  elements: dict
  sample: [{check: a claim is bound and its pod runs, able: true, seconds: 3.2, detail: ""}]
before:
  description: Node and pod, what that wrote, and when.
  returned: with V(prepare_loss)
  type: dict
table:
  description: The same for people, a line for each.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._storage_test import (
    Kubectl,
    Result,
    StorageTestError,
    Suite,
    plain,
    table,
)


def main() -> None:
    """All that was found is told, also when the test could not go on."""
    module = AnsibleModule(
        argument_spec={
            "storage_class": {"type": "str", "required": True},
            "image": {"type": "str", "required": True},
            "kubectl": {"type": "path", "default": "/usr/local/bin/kubectl"},
            "kubeconfig": {"type": "path", "default": "/etc/kubernetes/admin.conf"},
            "namespace": {"type": "str", "default": "storage-test"},
            "step": {"type": "str", "default": "suite", "choices": ["suite", "prepare_loss", "loss"]},
            "before": {"type": "dict", "default": {}},
        }
    )
    wish = module.params
    results: list[Result] = []
    problem = ""
    try:
        suite = Suite(
            Kubectl(wish["kubectl"], wish["kubeconfig"]), wish["storage_class"], wish["image"], wish["namespace"]
        )
        if wish["step"] == "prepare_loss":
            module.exit_json(changed=True, results=[], table=[], before=suite.prepare_loss())
        for result in [suite.lost(wish["before"])] if wish["step"] == "loss" else suite.run():
            results.append(result)  # noqa: PERF402  (what was found before an error counts)
    except StorageTestError as error:
        problem = str(error)
    unable = [it.check for it in results if it.able is False]
    problem = problem or (f"class {wish['storage_class']} cannot do this: {'; '.join(unable)}" if unable else "")
    lines = table(results) if results else []
    if problem:
        module.fail_json(msg=problem, results=plain(results), table=lines)
    module.exit_json(changed=True, results=plain(results), table=lines)


if __name__ == "__main__":
    main()
