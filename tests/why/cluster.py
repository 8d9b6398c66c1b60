# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster without machines: the plane, its nodes, and a kubelet for all of them that says what the cases want."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from . import kubelet
from .cases import CASES, LOGS, Case
from .plane import Plane

Document = dict[str, Any]
APIS = {
    **dict.fromkeys(
        ("Pod", "Service", "PersistentVolumeClaim", "ResourceQuota", "LimitRange", "Node", "Namespace"), "/api/v1"
    ),
    **dict.fromkeys(
        ("ValidatingWebhookConfiguration", "ValidatingAdmissionPolicy"), "/apis/admissionregistration.k8s.io/v1"
    ),
    "ValidatingAdmissionPolicyBinding": "/apis/admissionregistration.k8s.io/v1",
}
CLUSTER = ("Node", "Namespace", "StorageClass", "ValidatingWebhookConfiguration", "ValidatingAdmissionPolicy")
MERGE = "application/merge-patch+json"
# Pools of nodes: how many, and what is wrong with them.
POOLS: dict[str, Document] = {
    "main": {"count": 2},
    "one": {},
    "crowd": {"pods": "250"},
    "tainted": {"taints": [{"key": "dedicated", "value": "batch", "effect": "NoSchedule"}]},
    "cordoned": {"unschedulable": True},
    "full": {"conditions": {"DiskPressure": "True"}},
    "silent": {"lease": False},
    "clock": {"behind": 300},
    "no-network": {
        "conditions": {"Ready": "False"},
        "message": "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady "
        "message:Network plugin returns error: cni plugin not initialized",
    },
}


def address() -> str:
    """This machine's own, which the API server may connect to (loopback it may not)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("198.51.100.1", 9))
        return str(probe.getsockname()[0])


def renewed(node: str) -> str:
    """Now, by the clock of a node."""
    return kubelet.stamp(POOLS.get(node, {}).get("behind", 0))[:-1] + ".000000Z"


class Cluster:
    """Everything of all cases at once, each in a namespace of its name."""

    def __init__(self, folder: Path) -> None:
        self.plane = Plane(folder)
        self.host = address()
        self.cases = {case.name: case for case in CASES}
        self._stop = threading.Event()
        self._told: set[str] = set()
        self._logs = _serve_logs(folder)
        self._threads = [
            threading.Thread(target=self._repeat, args=it) for it in ((self._leases, 1.0), (self._say, 0.3))
        ]
        try:
            self._nodes()
            for thread in self._threads:
                thread.start()
            self._classes()
            # A policy is in force some time after it was made.
            for case in sorted(CASES, key=lambda it: it.name != "policy"):
                self._make(case)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop what was started."""
        self._stop.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join()
        self._logs.shutdown()
        self._logs.server_close()
        self.plane.close()

    def create(self, item: Document, namespace: str = "") -> Document:
        """An object where its kind belongs."""
        kind = item["kind"]
        api = APIS.get(kind) or f"/apis/{item['apiVersion']}"
        plural = (
            "validatingadmissionpolicies"
            if kind.endswith("Policy")
            else f"{kind.lower()}{'es' if kind.endswith('ss') else 's'}"
        )
        space = "" if kind.startswith(CLUSTER) else f"/namespaces/{namespace}"
        return dict(self.plane.call("POST", f"{api}{space}/{plural}", item))

    def _nodes(self) -> None:
        for pool, wrong in POOLS.items():
            for number in range(1, wrong.get("count", 1) + 1):
                name = f"{pool}-{number}" if "count" in wrong else pool
                labels = {"pool": pool, "kubernetes.io/hostname": name}
                spec = {key: wrong[key] for key in ("taints", "unschedulable") if key in wrong}
                self.create(
                    {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": spec}
                )
                self._node_status(name, wrong)
                if wrong.get("lease", True):
                    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}}
                    self._lease(lease, name)

    def _lease(self, lease: Document, name: str) -> None:
        spec = {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": renewed(name)}
        deadline = time.monotonic() + 30
        while True:
            try:
                self.create({**lease, "spec": spec}, "kube-node-lease")
            except RuntimeError:
                # The namespace is made by the API server a moment after its start.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.3)
            else:
                return

    def _node_status(self, name: str, wrong: Document) -> None:
        conditions = {"Ready": "True", "DiskPressure": "False", "MemoryPressure": "False", "PIDPressure": "False"}
        conditions.update(wrong.get("conditions", {}))
        status = {
            **{
                it: {"cpu": "4", "memory": "8Gi", "pods": wrong.get("pods", "110"), "ephemeral-storage": "50Gi"}
                for it in ("capacity", "allocatable")
            },
            "conditions": [
                {
                    "type": kind,
                    "status": value,
                    "reason": f"Kubelet{kind}",
                    "message": wrong.get("message", "as it says"),
                    "lastHeartbeatTime": kubelet.stamp(),
                    "lastTransitionTime": kubelet.stamp(3600),
                }
                for kind, value in conditions.items()
            ],
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self._logs.server_address[1]}},
            "nodeInfo": dict.fromkeys(
                (
                    "machineID",
                    "systemUUID",
                    "bootID",
                    "kernelVersion",
                    "osImage",
                    "containerRuntimeVersion",
                    "kubeProxyVersion",
                    "operatingSystem",
                    "architecture",
                ),
                "",
            )
            | {"kubeletVersion": "v1.37.2"},
        }
        self.plane.call("PATCH", f"/api/v1/nodes/{name}/status", {"status": status}, MERGE)

    def _classes(self) -> None:
        wait = "WaitForFirstConsumer"
        for name, provisioner, mode in (
            ("slow", "csi.example", "Immediate"),
            ("local", "kubernetes.io/no-provisioner", wait),
        ):
            meta = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name}}
            self.create({**meta, "provisioner": provisioner, "volumeBindingMode": mode})

    def _make(self, case: Case) -> None:
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": case.name, "labels": case.labels}}
        self.create(space)
        account = f"/api/v1/namespaces/{case.name}/serviceaccounts"
        for item in case.objects:
            if case.name == "policy" and item["kind"] == "Deployment":
                time.sleep(5)
            if item["kind"] == "Pod":
                _wait(lambda: self.plane.call("GET", account)["items"], f"{case.name} has no service account")
            self.create(item, case.name)
        if case.name == "finalizer":
            self.plane.call("DELETE", "/api/v1/namespaces/finalizer/pods/web")

    def _repeat(self, work: Callable[[], None], seconds: float) -> None:
        while not self._stop.wait(seconds):
            work()

    def _leases(self) -> None:
        base = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
        for lease in self.plane.call("GET", base)["items"]:
            name = lease["metadata"]["name"]
            self.plane.call("PATCH", f"{base}/{name}", {"spec": {"renewTime": renewed(name)}}, MERGE)

    def _say(self) -> None:
        """Once for each pod that has a node which is there."""
        for pod in self.plane.call("GET", "/api/v1/pods")["items"]:
            meta, node = pod["metadata"], pod["spec"].get("nodeName")
            case = self.cases.get(meta["namespace"])
            if not node or not case or meta["uid"] in self._told or node in ("silent", "no-network"):
                continue
            self._told.add(meta["uid"])
            every = [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]
            said = {it["name"]: case.kubelet.get(it["name"], _default(pod, it))(pod, it) for it in every}
            if kubelet.NOTHING in said.values():
                continue
            path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/status"
            try:
                self.plane.call("PATCH", path, {"status": kubelet.status(pod, said, self.host)}, MERGE)
            except RuntimeError as error:
                # Its owner has just removed it.
                if '"code":404' not in str(error):
                    raise
                continue
            for event in kubelet.events(pod, said, node):
                self.plane.call("POST", f"/api/v1/namespaces/{meta['namespace']}/events", event)


def _default(pod: Document, container: Document) -> Any:
    first = container in pod["spec"].get("initContainers", []) and container.get("restartPolicy") != "Always"
    return (lambda _p, _c: kubelet.Said(kubelet.ended(0, "Completed"), ready=True)) if first else kubelet.well


def _wait(works: Callable[[], Any], complaint: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not works():
        if time.monotonic() > deadline:
            raise TimeoutError(complaint)
        time.sleep(0.1)


class _Logs(BaseHTTPRequestHandler):
    """The part of a kubelet that has logs: /containerLogs/NAMESPACE/POD/CONTAINER."""

    def do_GET(self) -> None:
        """The case's log."""
        body = LOGS.get(self.path.split("/")[2], "starting\nserving\n").encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base class's name)
        """Say nothing."""


def _serve_logs(folder: Path) -> ThreadingHTTPServer:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubelet")])
    now = dt.datetime.now(dt.UTC)
    certificate = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    certificate = certificate.serial_number(1).not_valid_before(now - dt.timedelta(hours=1))
    certificate = certificate.not_valid_after(now + dt.timedelta(days=1)).add_extension(
        x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
    )
    pem = folder / "kubelet.pem"
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    signed = certificate.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    pem.write_bytes(key.private_bytes(*form) + signed)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Logs)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
