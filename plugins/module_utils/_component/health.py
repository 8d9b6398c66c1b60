# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is a component healthy? One probe, and waiting for it."""

from __future__ import annotations

import http.client
import socket
import ssl
import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .host import Host

INTERVAL_SECONDS = 0.15
PROBE_SECONDS = 5.0


def probe(host: Host, health: dict[str, Any]) -> str:
    """Ask once; the empty string when healthy, else what is wrong in one line."""
    if health.get("url"):
        return _probe_url(host, health)
    if health.get("tcp"):
        address, port = health["tcp"].rsplit(":", 1)
        try:
            socket.create_connection((address.strip("[]"), int(port)), PROBE_SECONDS).close()
        except OSError as error:
            return f"{health['tcp']}: {error}"
        return ""
    if health.get("command"):
        done = host.try_run(health["command"], timeout=60)
        if done.returncode != 0:
            output = (done.stderr or done.stdout).strip()[-500:]
            return f"`{' '.join(health['command'])}` ended with {done.returncode}: {output}"
    return ""


def _probe_url(host: Host, health: dict[str, Any]) -> str:
    url = health["url"]
    try:
        context = None
        if url.startswith("https:"):
            ca = str(host.path(health["ca"])) if health.get("ca") else None
            context = ssl.create_default_context(cafile=ca)
            if health.get("cert"):
                context.load_cert_chain(str(host.path(health["cert"])), str(host.path(health["key"])))
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        with opener.open(url, timeout=PROBE_SECONDS) as answer:
            status, body = answer.status, ""
    except urllib.error.HTTPError as error:
        status, body = error.code, error.read(500).decode(errors="replace").strip()
    except (OSError, ValueError, http.client.HTTPException) as error:
        return f"{url}: {getattr(error, 'reason', error)}"
    return "" if status in (health.get("status") or [200]) else f"{url} answered {status} {body}".strip()


def wait(host: Host, unit: str | None, health: dict[str, Any] | None, timeout: float) -> str:
    """Wait until the unit is active and healthy; the last complaint on timeout, else the empty string."""
    deadline = time.monotonic() + timeout
    while True:
        complaint = ""
        if unit:
            state = host.units([unit]).get(unit, {})
            if state.get("ActiveState") == "failed":
                return f"{unit} failed ({state.get('SubState')})"
            if state.get("ActiveState") not in ("active", "reloading"):
                complaint = f"{unit} is {state.get('ActiveState', 'unknown')} ({state.get('SubState', '')})"
        complaint = complaint or (probe(host, health) if health else "")
        if not complaint or time.monotonic() > deadline:
            return complaint
        time.sleep(INTERVAL_SECONDS)
