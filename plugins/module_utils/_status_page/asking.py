# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the Prometheus of this host, and remembers what it said last."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .common import Settings

SECONDS = 15
FORMAT = 1
# Metric and its label with the version; a job that is no component is named here.
VERSIONS = {
    "kubernetes_build_info": "git_version",
    "etcd_server_version": "server_version",
    "containerd_build_info_total": "version",
    "coredns_build_info": "version",
    "haproxy_process_build_info": "version",
    "prometheus_build_info": "version",
    "alertmanager_build_info": "version",
    "node_exporter_build_info": "version",
    "node_os_info": "pretty_name",
    "node_uname_info": "release",
}
OTHERS = ("up", "probe_success", "probe_ssl_earliest_cert_expiry", "etcd_server_is_leader")
NAMED = '{__name__=~"' + "|".join((*OTHERS, *VERSIONS)) + '"}'
QUERY = NAMED + ' or node_systemd_unit_state{state=~"active|activating|failed"} == 1'


@dataclass(frozen=True)
class Answer:
    """What Prometheus says: series as (labels, value), alerts as its API has them; or why it says nothing."""

    series: list[tuple[dict[str, str], float]] = field(default_factory=list)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    error: str = ""


def ask(settings: Settings) -> Answer:
    """All in two requests."""
    try:
        context = None
        if settings.prometheus.startswith("https:"):
            context = ssl.create_default_context(cafile=settings.tls["ca"])
            context.load_cert_chain(settings.tls["cert"], settings.tls["key"])
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )

        def get(path: str) -> Any:
            with opener.open(f"{settings.prometheus}/api/v1/{path}", timeout=SECONDS) as answer:
                return json.load(answer)["data"]

        found = get(f"query?{urllib.parse.urlencode({'query': QUERY})}")["result"]
        series = [(dict(it["metric"]), float(it["value"][1])) for it in found]
        return Answer(series, get("alerts")["alerts"])
    except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException) as error:
        return Answer(error=str(getattr(error, "reason", error)) or type(error).__name__)


def recall(settings: Settings) -> dict[str, Any]:
    """What earlier runs wrote down; nothing the first time, or where it cannot be read."""
    try:
        known = json.loads((Path(settings.data) / "state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    # What another version of this program wrote is not understood.
    return known if isinstance(known, dict) and known.get("format") == FORMAT else {}
