#!/usr/bin/python
# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prove a cluster by using it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_verify
short_description: Prove a cluster by using it as its users do
description:
  - Runs on a master. Asks every API server for C(/readyz?verbose); starts a pod and a Service on each of up to five
    workers, and connects from each pod to the next worker's pod by address and to its Service by DNS name; reads a log,
    runs a command in a pod, reads metrics. All it made is in one namespace, removed at the end.
version_added: 0.1.0
author: selfhosted.kubernetes contributors
attributes:
  check_mode: {support: none, description: It starts pods.}
  diff_mode: {support: none, description: It leaves nothing behind.}
options:
  masters:
    description: API servers, each with C(name) and C(address).
    type: list
    elements: dict
    required: true
  workers:
    description: Names of the nodes on which pods are started, at least one.
    type: list
    elements: str
    required: true
  image:
    description: Ref of the agnhost image.
    type: str
    required: true
  domain:
    description: DNS domain of the cluster.
    type: str
    required: true
  timeout_seconds:
    description: How long each proof may take.
    type: int
    default: 90
"""

EXAMPLES = r"""
- name: Prove the cluster
  selfhosted.kubernetes.cluster_verify:
    masters: [{name: m1, address: 10.0.0.11}]
    workers: [w1, w2]
    image: registry.k8s.io/e2e-test-images/agnhost:2.66.1
    domain: cluster.local
"""

RETURN = r"""
proved:
  description: Each proof in words, with its seconds.
  returned: success
  type: list
  elements: str
"""

import json
import time

from ansible.module_utils.basic import AnsibleModule

KUBECTL = ["/usr/local/bin/kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "--request-timeout=10s"]
NAMESPACE = "selfhosted-verify"


class FinalError(AssertionError):
    """It does not work, and waiting does not help."""


class Verifier:
    """The proofs, in order."""

    def __init__(self, module: AnsibleModule) -> None:
        self.module = module
        self.workers = module.params["workers"][:5]
        self.proved: list[str] = []
        self.started = time.monotonic()

    def kubectl(self, *arguments: str, data: str | None = None) -> str:
        """Run kubectl; an error ends the proof."""
        code, output, error = self.module.run_command([*KUBECTL, *arguments], data=data)
        if code != 0:
            raise AssertionError(f"`kubectl {' '.join(arguments)}`: {error.strip() or output.strip()}")
        return str(output)

    def until(self, what: str, action) -> None:  # type: ignore[no-untyped-def]
        """Repeat an action until it works, and note how long that took."""
        began = time.monotonic()
        while True:
            try:
                action()
                break
            except FinalError as error:
                raise AssertionError(f"{what} is not so: {error}") from error
            except AssertionError as error:
                if time.monotonic() - began > self.module.params["timeout_seconds"]:
                    raise AssertionError(
                        f"{what} does not work after {self.module.params['timeout_seconds']} s: {error}"
                    ) from error
                time.sleep(0.3)
        self.proved.append(f"{what} ({time.monotonic() - began:.1f} s)")

    def run(self) -> None:
        """All proofs."""
        for master in self.module.params["masters"]:
            server = f"--server=https://{master['address']}:6443"
            self.until(
                f"API server on {master['name']}: every check of /readyz is ok",
                lambda server=server: self.kubectl(server, "get", "--raw", "/readyz?verbose"),
            )
        self.kubectl(
            "apply", "--filename=-", data=json.dumps({"apiVersion": "v1", "kind": "List", "items": self.objects()})
        )
        for worker in self.workers:
            self.until(f"a pod runs on {worker}", lambda worker=worker: self.address(worker))
        for worker, other in zip(self.workers, self.workers[1:] + self.workers[:1]):
            self.until(
                f"pod on {worker} reaches the pod on {other} by address",
                lambda worker=worker, other=other: self.connect(worker, f"{self.address(other)}:8080"),
            )
            name = f"verify-{other}.{NAMESPACE}.svc.{self.module.params['domain']}"
            self.until(
                f"pod on {worker} reaches the Service {name} by DNS name",
                lambda worker=worker, name=name: self.connect(worker, f"{name}:80"),
            )
        self.until(
            "kubectl logs",
            lambda: self.must_contain(
                self.kubectl("logs", "--namespace", NAMESPACE, f"verify-{self.workers[0]}"), "Started HTTP server"
            ),
        )
        self.until(
            "kubectl top", lambda: self.must_contain(self.kubectl("top", "nodes", "--no-headers"), *self.workers)
        )

    def must_contain(self, text: str, *words: str) -> None:
        """All words are in the text."""
        for word in words:
            if word not in text:
                raise AssertionError(f"no `{word}` in: {text.strip()[-500:]}")

    def address(self, worker: str) -> str:
        """The pod's address once it is ready."""
        pod = json.loads(self.kubectl("get", "pod", "--namespace", NAMESPACE, f"verify-{worker}", "--output=json"))
        if pod["status"].get("phase") == "Failed":  # Evicted, or not admitted: such a pod does not run again.
            raise FinalError(f"{pod['status'].get('reason')}: {pod['status'].get('message')}")
        ready = [
            entry
            for entry in pod["status"].get("conditions", [])
            if entry["type"] == "Ready" and entry["status"] == "True"
        ]
        if not ready:
            raise AssertionError(
                json.dumps(pod["status"].get("containerStatuses", pod["status"].get("conditions")))[-700:]
            )
        return str(pod["status"]["podIP"])

    def connect(self, worker: str, target: str) -> None:
        """Connect from within the worker's pod (kubectl exec)."""
        self.kubectl(
            "exec", "--namespace", NAMESPACE, f"verify-{worker}", "--", "/agnhost", "connect", "--timeout=2s", target
        )

    def objects(self) -> list[dict[str, object]]:
        """A namespace, and for each worker a pod that is bound to it and a Service of that one pod."""
        items: list[dict[str, object]] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}]
        for worker in self.workers:
            metadata = {"name": f"verify-{worker}", "namespace": NAMESPACE, "labels": {"verify": worker}}
            container = {
                "name": "agnhost",
                "image": self.module.params["image"],
                "args": ["netexec", "--http-port=8080"],
                "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1},
            }
            spec = {"nodeName": worker, "terminationGracePeriodSeconds": 0, "containers": [container]}
            items.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
            service = {"selector": {"verify": worker}, "ports": [{"port": 80, "targetPort": 8080}]}
            items.append({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service})
        return items


def main() -> None:
    """Run the proofs and remove what they made."""
    module = AnsibleModule(
        argument_spec={
            "masters": {"type": "list", "elements": "dict", "required": True},
            "workers": {"type": "list", "elements": "str", "required": True},
            "image": {"type": "str", "required": True},
            "domain": {"type": "str", "required": True},
            "timeout_seconds": {"type": "int", "default": 90},
        },
    )
    if not module.params["workers"]:
        module.fail_json(msg="workers: it names no node, so nothing can be proved; name one or more")
    verifier = Verifier(module)
    try:
        verifier.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=60s", "--request-timeout=0")
        verifier.run()
    except AssertionError as error:
        module.fail_json(msg=str(error), proved=verifier.proved)
    verifier.kubectl("delete", "namespace", NAMESPACE, "--wait=false")
    module.exit_json(changed=False, proved=verifier.proved)


if __name__ == "__main__":
    main()
