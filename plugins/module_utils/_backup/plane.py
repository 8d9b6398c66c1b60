# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A throw-away etcd and API server that serve what a snapshot has, where nothing else can be reached."""

from __future__ import annotations

import json
import secrets
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from .common import BackupError, complaint, run
from .etcd import BUMP, KEYS, keys_of
from .saving import DATABASE

# Of a network of its own, so no other program can have them.
ETCD, PEER, API = "http://127.0.0.1:2379", "http://127.0.0.1:2380", "https://127.0.0.1:6443"
PAGE = 500
START_SECONDS, STOP_SECONDS, ANSWER_SECONDS, POLL_SECONDS = 300, 20, 60, 0.2


def refuse_to_reach_others(routes: Path = Path("/proc/self/net/route")) -> None:
    """An API server with the cluster's own objects must not meet the cluster: a network without a single route."""
    if len(routes.read_text(encoding="utf-8").splitlines()) > 1:
        raise BackupError("this process can reach other machines, so no old state of the cluster is started here")


class Plane:
    """Started by `with`, and gone afterwards with its processes."""

    def __init__(self, folder: Path, service_network: str, programs: str) -> None:
        self.folder = folder
        self.service_network = service_network
        self.programs = programs
        self.processes: list[tuple[str, subprocess.Popen[bytes]]] = []
        self.token = secrets.token_hex(16)
        # Its certificate is made by itself, a moment later; nobody else is in this network.
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.tls.check_hostname = False
        self.tls.verify_mode = ssl.CERT_NONE

    def __enter__(self) -> Plane:
        refuse_to_reach_others()
        return self

    def __exit__(self, *_error: object) -> None:
        for _name, process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def start_etcd(self) -> list[str]:
        """Restore the snapshot and serve it; returns the keys of all objects, before any API server is there."""
        data = self.folder / "data"
        restore = ["snapshot", "restore", str(self.folder / DATABASE), f"--data-dir={data}", *BUMP]
        run([f"{self.programs}/etcdutl", *restore])
        self._start(
            *("etcd", f"--data-dir={data}", "--unsafe-no-fsync", f"--listen-client-urls={ETCD}"),
            *(f"--advertise-client-urls={ETCD}", f"--listen-peer-urls={PEER}"),
        )
        while True:
            try:
                run([f"{self.programs}/etcdctl", f"--endpoints={ETCD}", "--command-timeout=5s", "endpoint", "health"])
                break
            except BackupError as error:
                self._wait(str(error))
        return keys_of(run([f"{self.programs}/etcdctl", f"--endpoints={ETCD}", *KEYS, "--command-timeout=600s"]))

    def start_api(self) -> None:
        """With the key for secrets out of the backup, and for everything else with keys of its own."""
        folder = self.folder
        # The older form, of which the API server reads the public key, too.
        run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(folder / "sa.key")])
        (folder / "tokens.csv").write_text(f'{self.token},reader,reader,"system:masters"\n', encoding="ascii")
        self._start(
            *("kube-apiserver", f"--etcd-servers={ETCD}", f"--cert-dir={folder}/tls", "--bind-address=127.0.0.1"),
            *("--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none", "--authorization-mode=RBAC"),
            *(f"--service-cluster-ip-range={self.service_network}", f"--token-auth-file={folder}/tokens.csv"),
            f"--encryption-provider-config={folder}/encryption.yaml",
            *(f"--service-account-key-file={folder}/sa.key", f"--service-account-signing-key-file={folder}/sa.key"),
            *("--service-account-issuer=https://backup.invalid", "--allow-privileged", "--profiling=false"),
        )
        while True:
            try:
                # Not readyz: that waits until all secrets can be read, and which cannot is to be said.
                self._open("/livez").close()
                break
            except OSError as error:
                self._wait(str(error))

    def get(self, path: str) -> Any:
        """What the API server answers; what it refuses is an error in its words."""
        try:
            with self._open(path) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            text = error.read().decode("utf-8", "replace")
            with suppress(ValueError, KeyError):
                text = json.loads(text)["message"]
            raise BackupError(f"{path}: {text[:300]}") from None
        except OSError as error:
            raise BackupError(f"{path}: {error}") from None

    def resources(self) -> list[tuple[str, dict[str, Any]]]:
        """All that can be listed, each with the path of its group; what another server would answer is not here."""
        groups = ["/api/v1"]
        groups += [f"/apis/{it['preferredVersion']['groupVersion']}" for it in self.get("/apis")["groups"]]
        found = []
        for group in groups:
            try:
                resources = self.get(group)["resources"]
            except BackupError:
                continue
            found += [(group, it) for it in resources if "list" in it["verbs"] and "/" not in it["name"]]
        return found

    def objects(self, path: str) -> Iterator[dict[str, Any]]:
        """All of a list, of which a page at a time is in memory."""
        more = ""
        while True:
            page = self.get(f"{path}?limit={PAGE}{more}")
            yield from page["items"]
            if not page["metadata"].get("continue"):
                return
            more = f"&continue={page['metadata']['continue']}"

    def _open(self, path: str) -> Any:
        request = urllib.request.Request(API + path, headers={"Authorization": f"Bearer {self.token}"})
        return urllib.request.urlopen(request, context=self.tls, timeout=ANSWER_SECONDS)

    def _start(self, name: str, *arguments: str) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            argv = [f"{self.programs}/{name}", *arguments]
            self.processes.append((name, subprocess.Popen(argv, stdout=log, stderr=log, stdin=subprocess.DEVNULL)))
        self.deadline = time.monotonic() + START_SECONDS

    def _wait(self, what: str) -> None:
        """A moment, while the process that was started last runs and there is time."""
        name, process = self.processes[-1]
        if process.poll() is not None or time.monotonic() > self.deadline:
            log = (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")
            raise BackupError(f"{name} does not answer ({what}): {complaint(log)}")
        time.sleep(POLL_SECONDS)
