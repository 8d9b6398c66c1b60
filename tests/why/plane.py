# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real control plane on this machine's loopback, from the artifact cache: etcd, API server, controllers, scheduler.

Its nodes are objects without a machine; kubelet.py says of their pods what a kubelet would.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "selfhosted-kubernetes"
TOKENS = {"admin": '"system:masters"', "developer": '"developers"', "reader": '"readers"'}
# Short, so that a silent node is noticed within the test.
GRACE = "20s"


def binary(name: str, folder: Path) -> Path:
    """A program of the cache, under its own name; `ansible-playbook playbooks/artifacts.yml` puts it there."""
    for index in sorted((CACHE / "index").glob("*.json")):
        files = json.loads(index.read_text(encoding="utf-8"))["files"]
        if name in files:
            link = folder / name
            if not link.exists():
                link.symlink_to(CACHE / "sha256" / files[name]["sha256"])
            return link
    raise FileNotFoundError(f"no {name} in {CACHE}: ansible-playbook playbooks/artifacts.yml")


def free_port() -> int:
    """One that nobody has right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Plane:
    """Started by its making; `close` ends its own processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []
        try:
            self._start_all()
        except BaseException:
            self.close()
            raise

    def _start_all(self) -> None:
        folder = self.folder
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        # Only the wait for readiness uses it before there is a certificate to trust.
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._tls.check_hostname = False
        self._tls.verify_mode = ssl.CERT_NONE
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        (folder / "sa.key").write_bytes(key.private_bytes(*form))
        lines = [f"{user},{user},{user},{groups}\n" for user, groups in TOKENS.items()]
        (folder / "tokens.csv").write_text("".join(lines), encoding="utf-8")
        client, peer = free_port(), free_port()
        etcd = f"http://127.0.0.1:{client}"
        peers = f"http://127.0.0.1:{peer}"
        self._start(
            *("etcd", f"--data-dir={folder}/data", "--unsafe-no-fsync", f"--listen-client-urls={etcd}"),
            *(f"--advertise-client-urls={etcd}", f"--listen-peer-urls={peers}"),
            *(f"--initial-advertise-peer-urls={peers}", f"--initial-cluster=default={peers}"),
        )
        self._start(
            *("kube-apiserver", f"--etcd-servers={etcd}", f"--cert-dir={folder}/tls", f"--secure-port={self.port}"),
            *("--bind-address=127.0.0.1", "--service-cluster-ip-range=10.99.0.0/16", "--authorization-mode=Node,RBAC"),
            *(f"--service-account-key-file={folder}/sa.key", f"--service-account-signing-key-file={folder}/sa.key"),
            *("--service-account-issuer=https://plane", f"--token-auth-file={folder}/tokens.csv"),
            *("--kubelet-preferred-address-types=InternalIP", "--allow-privileged"),
        )
        self._wait("/readyz")
        self.kubeconfig = self.config("admin")
        own = f"--kubeconfig={self.kubeconfig}"
        self._start(
            *("kube-controller-manager", own, f"--service-account-private-key-file={folder}/sa.key"),
            *(
                "--use-service-account-credentials=false",
                f"--node-monitor-grace-period={GRACE}",
                "--leader-elect=false",
            ),
            *("--node-monitor-period=1s", f"--secure-port={free_port()}", "--bind-address=127.0.0.1"),
        )
        self._start(
            *("kube-scheduler", own, "--leader-elect=false", f"--secure-port={free_port()}", "--bind-address=127.0.0.1")
        )

    def config(self, user: str) -> Path:
        """A kubeconfig of one of the users in TOKENS."""
        authority = base64.b64encode((self.folder / "tls" / "apiserver.crt").read_bytes()).decode()
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "plane",
            "clusters": [{"name": "plane", "cluster": {"server": self.url, "certificate-authority-data": authority}}],
            "users": [{"name": user, "user": {"token": user}}],
            "contexts": [{"name": "plane", "context": {"cluster": "plane", "user": user}}],
        }
        path = self.folder / f"{user}.kubeconfig"
        path.write_text(json.dumps(document), encoding="utf-8")
        return path

    def call(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Any:
        """Ask as the admin; what is refused is an error with the server's text."""
        headers = {"Authorization": "Bearer admin", "Content-Type": kind}
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, context=self._tls, timeout=30) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {path}: {error.read().decode()}") from error

    def close(self) -> None:
        """Those that ask end before those that answer."""
        for process in reversed(self.processes):
            process.terminate()
            process.wait(30)

    def _start(self, name: str, *arguments: str) -> None:
        command = [str(binary(name, self.folder)), *arguments]
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes.append(subprocess.Popen(command, stdout=log, stderr=log))

    def _wait(self, path: str) -> None:
        deadline = time.monotonic() + 120
        while True:
            try:
                request = urllib.request.Request(self.url + path, headers={"Authorization": "Bearer admin"})
                urllib.request.urlopen(request, context=self._tls, timeout=5).close()
            except OSError:
                if time.monotonic() > deadline or any(it.poll() is not None for it in self.processes):
                    tail = (self.folder / "kube-apiserver.log").read_text(encoding="utf-8")[-2000:]
                    raise TimeoutError(f"the API server does not get ready: {tail}") from None
                time.sleep(0.3)
            else:
                return
