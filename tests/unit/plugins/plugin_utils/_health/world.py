# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster that is well, as its hosts say it; a test spoils one thing.

`recorded/etcd.json` is what `etcdctl --write-out=json` said of three members of etcd 3.7.3 with a quota of 16 MiB:
whole, without a quorum, and full. `recorded/objects.json` has objects of Kubernetes 1.37 as far as a host returns them.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._health.model import Area, Seen
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._health.report import document, judge
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

RECORDED = Path(__file__).parent / "recorded"
NOW = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
MASTERS, WORKERS, OUTSIDE = ["m1", "m2", "m3"], ["w1", "w2"], ["o1"]
HOSTS = [*MASTERS, *WORKERS, *OUTSIDE]
CONTROL_PLANE = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-addons"]
NODE = ["kube-loadbalancer", "containerd", "kubelet", "kube-proxy", "flanneld"]
ON_OUTSIDE = ["artifact-store", "registry", "kube-loadbalancer"]
KUBERNETES = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
GIB = 2**30

Finding = tuple[str, str, str, str, str]


def recorded(name: str, key: str) -> Any:
    """One of the answers, to be changed at will."""
    return json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))[key]


@cache
def der(name: str, days: float, life: float, authority: bool) -> str:
    """A certificate that ends so many days from now, as hosts return it."""
    key, end = ec.generate_private_key(ec.SECP256R1()), NOW + timedelta(days=days)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(end - timedelta(days=life)).not_valid_after(end)
    builder = builder.add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    signed = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
    return base64.b64encode(signed).decode()


class Cluster:
    """What each host says, and what the API says; `silent` says nothing and why."""

    def __init__(self) -> None:
        """All is well."""
        self.groups = {"masters": MASTERS, "workers": WORKERS, "outside": OUTSIDE}
        self.silent: dict[str, str] = {}
        self.pki_dir: Path | None = None
        self.objects: list[dict[str, Any]] = [node(name) for name in MASTERS + WORKERS]
        self.objects += [recorded("objects", "deployment"), metrics(), recorded("objects", "apiservice")]
        self.hosts = {name: self.host(name) for name in HOSTS}

    def host(self, name: str) -> dict[str, Any]:
        """What health_facts returns of a host that is well."""
        master = name in MASTERS
        own = ON_OUTSIDE if name in OUTSIDE else [*(CONTROL_PLANE if master else []), *NODE]
        said: dict[str, Any] = {
            "components": {component: well(component) for component in own},
            "certificates": {"files": [], "served": []},
            "failed_units": [],
            "disks": [disk("/")],
            "memory": {"total_bytes": 8 * GIB, "available_bytes": 4 * GIB},
            "clock": {"before": 100.0, "host": 100.1, "after": 100.2},
            "backends": dict.fromkeys(MASTERS, "UP"),
        }
        if master:
            said["etcd"] = {"status": recorded("etcd", "status"), "members": recorded("etcd", "members")}
            said["api"] = {"version": "v1.37.2", "objects": self.objects}
        return said

    def component(self, host: str, name: str) -> dict[str, Any]:
        """To be changed."""
        found: dict[str, Any] = self.hosts[host]["components"][name]
        return found

    def statuses(self) -> list[dict[str, Any]]:
        """What each member of etcd says of itself, to be changed."""
        return [self.hosts[name]["etcd"]["status"] for name in MASTERS]

    def object(self, kind: str, name: str) -> dict[str, Any]:
        """What the API has of that name, to be changed."""
        return next(it for it in self.objects if (it["kind"], it["metadata"]["name"]) == (kind, name))

    def condition(self, name: str, kind: str, status: str, message: str) -> None:
        """Change a condition of a node."""
        conditions = self.object("Node", name)["status"]["conditions"]
        next(it for it in conditions if it["type"] == kind).update(status=status, message=message)

    def holds(self, host: str, path: str, days: float, *, life: float = 360, authority: bool = False) -> str:
        """A certificate in one of its files, of the kubelet."""
        found = der(path, days, life, authority)
        self.hosts[host]["certificates"]["files"].append({"path": path, "components": ["kubelet"], "der": found})
        return found

    def off(self, *names: str, why: str = "connect to host port 22: Connection timed out") -> None:
        """Hosts that cannot be reached."""
        for name in names:
            self.silent[name] = why
            del self.hosts[name]

    def limit(self, *names: str) -> None:
        """Ask these alone."""
        self.hosts = {name: self.hosts[name] for name in names}

    def judge(self) -> list[Area]:
        """Every area."""
        return judge(Seen(self.groups, self.hosts, self.silent), self.pki_dir, NOW)

    def findings(self) -> list[Finding]:
        """All of them: level, area, hosts, what it is, and what to do next."""
        found = document(self.judge(), NOW)["findings"]
        return [(it["level"], it["area"], ",".join(it["hosts"]), it["what"], it["todo"]) for it in found]

    def of(self, area: str) -> list[Finding]:
        """Those of one area."""
        return [it for it in self.findings() if it[1] == area]


def node(name: str) -> dict[str, Any]:
    """A node that is ready."""
    found: dict[str, Any] = recorded("objects", "node")
    found["metadata"]["name"] = name
    return found


def metrics() -> dict[str, Any]:
    """The other deployment, with one pod."""
    found: dict[str, Any] = recorded("objects", "deployment")
    found["metadata"]["name"], found["spec"]["replicas"] = "metrics-server", 1
    found["status"].update(replicas=1, updatedReplicas=1, availableReplicas=1)
    return found


def well(name: str) -> dict[str, Any]:
    """A component that runs and has done so for a day."""
    return {
        "installed": True,
        "interrupted": False,
        "version": "1.37.2" if name in KUBERNETES else "3.7.3" if name == "etcd" else None,
        "unit": f"{name}.service",
        "active": "active",
        "sub": "running",
        "enabled": "enabled",
        "restarts": 0,
        "seconds": 86400.0,
        "complaint": "",
    }


def disk(path: str, *, used: float = 50, inodes: float = 50, read_only: bool = False) -> dict[str, Any]:
    """A file system of 100 GiB that is used by so many percent."""
    return {
        "path": path,
        "read_only": read_only,
        "used_bytes": used * GIB,
        "free_bytes": (100 - used) * GIB,
        "used_inodes": inodes * 1000,
        "free_inodes": (100 - inodes) * 1000,
    }
