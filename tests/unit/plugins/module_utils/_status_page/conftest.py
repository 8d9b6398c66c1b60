# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A status page's settings, and a Prometheus that says what it is told to say."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._status_page.common import Settings

NOW = 1_780_000_000.0
HOSTS = (
    ("m1", "masters", ("etcd", "kube-apiserver", "kubelet", "metrics-gate", "prometheus-node-exporter")),
    ("w1", "workers", ("kubelet", "metrics-gate", "prometheus-node-exporter")),
    ("o1", "outside", ("registry-front", "prometheus", "metrics-gate", "prometheus-node-exporter")),
)
JOBS = {
    "etcd": ["etcd"],
    "kube-apiserver": ["probe-readyz", "kube-apiserver"],
    "kubelet": ["kubelet", "cadvisor"],
    "metrics-gate": [],
    "prometheus-node-exporter": ["node"],
    "registry-front": ["probe-registry-front"],
    "prometheus": ["prometheus"],
}
CERTIFICATES = {"etcd": 2379, "kubelet": 10250, "metrics-gate": 9443}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Three hosts."""
    hosts = [
        {
            "name": name,
            "address": f"192.0.2.{number}",
            "groups": [group],
            "components": [
                {
                    "name": it,
                    "jobs": JOBS[it],
                    "certificate": f"192.0.2.{number}:{CERTIFICATES[it]}" if it in CERTIFICATES else "",
                }
                for it in components
            ],
            "pages": [{"name": "registry", "url": "https://192.0.2.3:5000/v2/_catalog"}] if group == "outside" else [],
        }
        for number, (name, group, components) in enumerate(HOSTS, 1)
    ]
    (tmp_path / "records").mkdir()
    return Settings(
        cluster="production",
        host="o1",
        hosts=hosts,
        links=[],
        backups=True,
        versions={"kubelet": "1.37.2", "registry-front": "3.1.2"},
        data=str(tmp_path / "data"),
        records=str(tmp_path / "records"),
        docs=str(tmp_path / "docs"),
    )


def series(settings: Settings, down: str = "") -> list[dict[str, Any]]:
    """What a Prometheus says that sees everything well but for one host."""
    found: list[tuple[dict[str, str], float]] = []
    for host in settings.hosts:
        name, up = host["name"], float(host["name"] != down)
        for it in host["components"]:
            for job in it["jobs"]:
                labels = {"job": job, "instance": name}
                if job.startswith("probe-"):
                    # About the prober, which is well.
                    found.append(({"__name__": "up", **labels}, 1.0))
                found.append(({"__name__": "probe_success" if job.startswith("probe-") else "up", **labels}, up))
            if up:
                unit = {"name": f"{it['name']}.service", "state": "active", "instance": name, "job": "node"}
                found.append(({"__name__": "node_systemd_unit_state", **unit}, 1.0))
            if up and it["certificate"]:
                labels = {"job": "probe-certificate", "target": it["certificate"], "instance": name}
                found.append(({"__name__": "probe_ssl_earliest_cert_expiry", **labels}, NOW + 100.5 * 86400))
        if up and "kubelet" in {it["name"] for it in host["components"]}:
            labels = {"job": "kubelet", "instance": name, "git_version": "v1.37.2"}
            found.append(({"__name__": "kubernetes_build_info", **labels}, 1.0))
    return [{"metric": labels, "value": [NOW, str(value)]} for labels, value in found]


def alert(name: str, severity: str, summary: str = "It is so.", state: str = "firing", url: str = "") -> dict[str, Any]:
    """One of Prometheus's alerts."""
    notes = {"summary": summary, **({"runbook_url": url} if url else {})}
    labels = {"alertname": name, "severity": severity, "instance": "m1"}
    return {"labels": labels, "annotations": notes, "state": state, "activeAt": "2026-05-28T20:26:40.123Z"}


Serve = Callable[[list[dict[str, Any]], list[dict[str, Any]]], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve series and alerts as Prometheus's API does; returns where."""
    servers = []

    def start(found: list[dict[str, Any]], alerts: list[dict[str, Any]]) -> str:
        answers = {"/api/v1/query": {"result": found}, "/api/v1/alerts": {"alerts": alerts}}

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps({"status": "success", "data": answers[urlsplit(self.path).path]}).encode()
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: Any) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
