# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions about the whole cluster, which every host that can answer one answers for itself."""

from __future__ import annotations

import csv
import json
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ansible_collections.selfhosted.kubernetes.plugins.module_utils._component import health
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._component.host import Host

# As roles/etcd, roles/addons and roles/loadbalancer install them.
ETCDCTL = ["/usr/local/bin/etcdctl", "--endpoints=https://127.0.0.1:2379", "--write-out=json"]
API = {
    "ca": "/etc/kubernetes/pki/ca.crt",
    "cert": "/etc/kubernetes/kube-addons/client.crt",
    "key": "/etc/kubernetes/kube-addons/client.key",
}
API_URL = "https://127.0.0.1:6443"
STATISTICS = "/run/kube-loadbalancer/admin.sock"

# As the server's cache has them: also while etcd has no leader, and at no cost for it.
CACHED = "?resourceVersion=0"
LISTS = {
    "Node": f"/api/v1/nodes{CACHED}",
    "Deployment": f"/apis/apps/v1/namespaces/kube-system/deployments{CACHED}",
    "Pod": f"/api/v1/namespaces/kube-system/pods{CACHED}",
    "APIService": f"/apis/apiregistration.k8s.io/v1/apiservices{CACHED}",
}


def etcd(host: Host, seconds: float) -> dict[str, Any]:
    """The member's own state, and the members that it knows; neither needs a quorum."""
    questions = {"status": ["endpoint", "status"], "members": ["member", "list", "--consistency=s"]}

    def ask(words: list[str]) -> Any:
        done = host.try_run([*ETCDCTL, f"--command-timeout={seconds:.0f}s", *words], timeout=seconds + 1)
        try:
            return json.loads(done.stdout)
        except ValueError:
            lines = (done.stderr or done.stdout).strip().splitlines()
            return f"`etcdctl {' '.join(words)}`: {lines[-1][:300] if lines else f'exit code {done.returncode}'}"

    with ThreadPoolExecutor(len(questions)) as pool:
        answers = dict(zip(questions, pool.map(ask, questions.values())))
    complaints = [answer for answer in answers.values() if isinstance(answer, str)]
    if complaints:
        return {"error": complaints[0]}
    if not answers["status"]:
        return {"error": "`etcdctl endpoint status`: no answer"}
    return {"status": answers["status"][0]["Status"], "members": answers["members"]["members"]}


def api(host: Host, seconds: float) -> dict[str, Any]:
    """Version of the host's API server, and the objects that tell how the cluster is, without what nobody reads."""

    def ask(path: str) -> Any:
        status, body = health.fetch(host, {"url": f"{API_URL}{path}", **API}, seconds)
        if status != 200:
            raise OSError(f"{path} answered {status}")
        return json.loads(body)

    with ThreadPoolExecutor(len(LISTS) + 1) as pool:
        version, *lists = pool.map(ask, ["/version", *LISTS.values()])
    objects = [brief({**item, "kind": kind}) for kind, found in zip(LISTS, lists) for item in found["items"]]
    return {"version": version["gitVersion"], "objects": objects}


def brief(item: dict[str, Any]) -> dict[str, Any]:
    """An object as far as its health is told by it; a node's images alone are pages."""
    metadata, spec, status = item["metadata"], item.get("spec", {}), item.get("status", {})
    kept = {
        "metadata": ("name", "namespace", "labels", "generation"),
        "spec": ("unschedulable", "podCIDR", "replicas", "selector"),
        "status": (
            *("conditions", "phase", "containerStatuses", "initContainerStatuses"),
            *("observedGeneration", "replicas", "updatedReplicas", "availableReplicas"),
        ),
    }
    parts = {"metadata": metadata, "spec": spec, "status": status}
    result = {
        "kind": item["kind"],
        **{name: {key: part[key] for key in kept[name] if key in part} for name, part in parts.items()},
    }
    if item["kind"] == "Node":
        result["status"]["nodeInfo"] = {"kubeletVersion": status.get("nodeInfo", {}).get("kubeletVersion", "")}
    return result


def backends(host: Host, seconds: float) -> dict[str, Any]:
    """API servers behind the host's load balancer by name, each with the state that it has for it."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(seconds)
        connection.connect(str(host.path(STATISTICS)))
        connection.sendall(b"show stat\n")
        with connection.makefile(encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    return {
        row["svname"]: row["status"] for row in rows if row["# pxname"] == "apiservers" and row["svname"] != "BACKEND"
    }


def pod_network(host: Host, _seconds: float) -> dict[str, Any]:
    """The subnet of the node's pods, as flanneld took it when it started."""
    lines = host.path("/run/flannel/subnet.env").read_text(encoding="utf-8").splitlines()
    return {"subnet": dict(line.split("=", 1) for line in lines)["FLANNEL_SUBNET"]}


def storage(host: Host, seconds: float) -> dict[str, Any]:
    """What monitors say of the whole storage, in the name of somebody who may only look."""
    words = ["ceph", "--name=client.health", f"--connect-timeout={seconds:.0f}", "--format=json", "health", "detail"]
    done = host.try_run(words, timeout=seconds + 2)
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        lines = done.stderr.strip().splitlines()
        return {"error": f"`ceph health`: {lines[-1][:300] if lines else f'exit code {done.returncode}'}"}
    return {"status": answer["status"], "checks": answer.get("checks", {})}


# By the component that can answer: the answer's name, and how to ask.
QUESTIONS: dict[str, tuple[str, Callable[[Host, float], dict[str, Any]]]] = {
    "etcd": ("etcd", etcd),
    "kube-apiserver": ("api", api),
    "kube-loadbalancer": ("backends", backends),
    "flanneld": ("pod_network", pod_network),
    "ceph": ("storage", storage),
}
