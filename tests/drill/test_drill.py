# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of a real control plane on this machine's loopback, and drills with them in a network of their own."""

from __future__ import annotations

import base64
import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._backup import drilling, etcd, saving
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._backup.common import BackupError, Settings
from ansible_collections.selfhosted.kubernetes.tests.why.plane import Plane, binary

OBJECTS = 300
PROGRAMS = ("etcd", "etcdctl", "etcdutl", "kube-apiserver", "kubectl")
LAMPS = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "lamps.example.org"},
    "spec": {
        "group": "example.org",
        "scope": "Namespaced",
        "names": {"plural": "lamps", "singular": "lamp", "kind": "Lamp"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}


def encryption(path: Path) -> None:
    """A configuration with a key that nobody else has."""
    keys = [{"name": "key-1", "secret": base64.b64encode(secrets.token_bytes(32)).decode()}]
    providers: list[dict[str, Any]] = [{"secretbox": {"keys": keys}}, {"identity": {}}]
    document = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "EncryptionConfiguration",
        "resources": [{"resources": ["secrets"], "providers": providers}],
    }
    path.write_text(json.dumps(document), encoding="ascii")


class Production(Plane):
    """A control plane that encrypts secrets; and the host that makes backups of it."""

    def __init__(self, folder: Path) -> None:
        for name in ("bin", "etc", "data", "drill", "metrics"):
            (folder / name).mkdir()
        for name in PROGRAMS:
            binary(name, folder / "bin")
        encryption(folder / "etc/encryption.yaml")
        # etcd is asked without TLS here, but its client reads them all the same.
        pair = ["-keyout", f"{folder}/etc/etcd-client.key", "-out", f"{folder}/etc/etcd-client.crt"]
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-subj", "/CN=backup", *pair], check=True, capture_output=True)  # fmt: skip
        (folder / "etc/etcd-ca.crt").write_bytes((folder / "etc/etcd-client.crt").read_bytes())
        (folder / "etc/password").write_text(secrets.token_hex(16), encoding="ascii")
        super().__init__(folder)
        (url,) = (it for it in map(str, self.arguments("etcd")) if it.startswith("--advertise-client-urls="))
        self.settings = Settings(
            cluster="plane",
            host="o1",
            etcd=[url.partition("=")[2]],
            repository=f"{folder}/data/repository",
            targets=[],
            keep={"hourly": 24},
            paths=[f"{folder}/etc/encryption.yaml"],
            service_network="10.99.0.0/16",
            metrics=f"{folder}/metrics",
            config=f"{folder}/etc",
            data=f"{folder}/data",
            drill=f"{folder}/drill",
            programs=f"{folder}/bin",
        )

    def arguments(self, name: str) -> list[str]:
        """With which a program was started."""
        found = [list(map(str, it.args)) for it in self.processes if isinstance(it.args, list)]
        return next(words for words in found if words[0].endswith(f"/{name}"))

    def _start(self, name: str, *arguments: str) -> None:
        own = [f"--encryption-provider-config={self.folder}/etc/encryption.yaml"] if name == "kube-apiserver" else []
        super()._start(name, *arguments, *own)

    def revision(self) -> int:
        """How far its history is."""
        status = json.loads(etcd.Etcd(self.settings).ask(self.settings.etcd, "endpoint", "status", "--write-out=json"))
        return int(status[0]["Status"]["header"]["revision"])


def isolated(_settings: Settings, _folder: Path) -> list[str]:
    """What systemd does on a host: a network without a route."""
    library = Path(drilling.__file__).resolve().parents[1]
    up = 'ip link set lo up && exec "$@"'
    return ["unshare", "--net", "sh", "-c", up, "sh", "env", f"PYTHONPATH={library}", sys.executable, "-m"]


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    """Full of things, one kind of which it learned."""
    plane = Production(tmp_path_factory.mktemp("production"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(saving, "KUBECONFIG", plane.kubeconfig)
        patch.setattr(drilling, "USER", "root")
        patch.setattr(drilling, "isolated", isolated)
        patch.setenv("HOME", str(plane.folder))
        plane.call("POST", "/api/v1/namespaces", {"metadata": {"name": "shop"}})
        for number in range(OBJECTS):
            thing = {"metadata": {"name": f"thing-{number}"}, "data": {"number": str(number)}}
            plane.call("POST", "/api/v1/namespaces/shop/configmaps", thing)
        plane.call("POST", "/api/v1/namespaces/shop/secrets", {"metadata": {"name": "db"}, "stringData": {"a": "b"}})
        plane.call("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", LAMPS)
        path = f"{plane.folder}/lamp.json"
        lamp = {"apiVersion": "example.org/v1", "kind": "Lamp", "metadata": {"name": "desk", "namespace": "shop"}}
        Path(path).write_text(json.dumps(lamp), encoding="ascii")
        kubectl = [f"{plane.folder}/bin/kubectl", f"--kubeconfig={plane.kubeconfig}"]
        wait = ["wait", "--for=condition=Established", "--timeout=60s", "crd/lamps.example.org"]
        subprocess.run([*kubectl, *wait], check=True, capture_output=True)
        subprocess.run([*kubectl, "create", f"--filename={path}"], check=True, capture_output=True)
        yield plane
    plane.close()


@pytest.fixture
def saved(production: Production) -> dict[str, Any]:
    """The record of a backup that was made just now."""
    record = saving.back_up(production.settings)
    assert record["errors"] == []
    return record


def test_a_backup_knows_what_it_has(production: Production, saved: dict[str, Any], tmp_path: Path) -> None:
    """Which cluster, which objects, which canary."""
    manifest = saving.fetch(production.settings, saved["id"], tmp_path)
    assert manifest["uid"] == production.call("GET", "/api/v1/namespaces/kube-system")["metadata"]["uid"]
    assert manifest["objects"]["configmaps"] >= OBJECTS
    assert manifest["objects"]["lamps.example.org"] == 1
    assert len(manifest["canary"]) == 64


def test_a_drill_reads_everything_and_touches_nothing(production: Production, saved: dict[str, Any]) -> None:
    """Production's history has nothing but what it wrote itself."""
    before = production.revision()
    entry = drilling.drill(production.settings, "latest")
    assert entry["differences"] == []
    print(f"\ndrill with {sum(entry['objects'].values())} objects: {entry['seconds']} s")  # noqa: T201
    assert entry["differences"] == []
    assert entry["id"].startswith(saved["id"])
    assert entry["read"]["configmaps"] >= OBJECTS
    assert entry["read"]["lamps.example.org"] == 1
    assert before <= production.revision() < before + 10_000
    assert list(Path(production.settings.drill).iterdir()) == []


def test_a_backup_without_its_key_is_found(production: Production) -> None:
    """The most that a snapshot can be worth without it is everything but secrets."""
    path = production.folder / "etc/encryption.yaml"
    key = path.read_text(encoding="ascii")
    encryption(path)
    saving.back_up(production.settings)
    path.write_text(key, encoding="ascii")
    entry = drilling.drill(production.settings, "latest")
    assert entry["result"] == "failed"
    assert any(it.startswith("cannot be read: secrets: ") for it in entry["differences"]), entry["differences"]


def test_one_object_and_a_namespace(production: Production, saved: dict[str, Any]) -> None:
    """As they were, ready to be put back."""
    assert saved
    (secret,) = drilling.show(production.settings, "secret/shop/db", "latest")["items"]
    assert (secret["data"], secret["metadata"]) == ({"a": "Yg=="}, {"name": "db", "namespace": "shop"})
    production.call("DELETE", "/api/v1/namespaces/shop/secrets/db")
    items = drilling.show(production.settings, "namespace/shop", "latest")["items"]
    kinds = [it["kind"] for it in items]
    assert (kinds[0], kinds.count("ConfigMap") >= OBJECTS, kinds.count("Lamp")) == ("Namespace", True, 1)
    with pytest.raises(BackupError, match="not found"):
        drilling.show(production.settings, "secret/shop/none", "latest")
    kubectl = [f"{production.folder}/bin/kubectl", f"--kubeconfig={production.kubeconfig}"]
    document = json.dumps({"apiVersion": "v1", "kind": "List", "items": items})
    apply = [*kubectl, "apply", "--server-side", "--force-conflicts", "--field-manager=backup", "--filename=-"]
    subprocess.run(apply, input=document, text=True, check=True, capture_output=True)
    assert production.call("GET", "/api/v1/namespaces/shop/secrets/db")["data"] == {"a": "Yg=="}
