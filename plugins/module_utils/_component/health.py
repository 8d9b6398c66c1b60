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
COMMAND_SECONDS = 60.0


def probe(host: Host, health: dict[str, Any], seconds: float | None = None) -> str:
    """Ask once; the empty string when healthy, else what is wrong in one line."""
    if health.get("url"):
        return _probe_url(host, health, seconds or PROBE_SECONDS)
    if health.get("tcp"):
        try:
            socket.create_connection(split(health["tcp"]), seconds or PROBE_SECONDS).close()
        except OSError as error:
            return f"{health['tcp']}: {error}"
        return ""
    if health.get("command"):
        done = host.try_run(health["command"], timeout=seconds or COMMAND_SECONDS)
        if done.returncode != 0:
            output = (done.stderr or done.stdout).strip()[-500:]
            return f"`{' '.join(health['command'])}` ended with {done.returncode}: {output}"
    return ""


def split(location: str) -> tuple[str, int]:
    """Address and port of ADDRESS:PORT."""
    address, port = location.rsplit(":", 1)
    return address.strip("[]"), int(port)


def fetch(host: Host, request: dict[str, Any], seconds: float) -> tuple[int, str]:
    """Status and body of the answer from `url`; its server is trusted by `ca`, and `cert` says who asks."""
    context = None
    if request["url"].startswith("https:"):
        context = ssl.create_default_context(cafile=str(host.path(request["ca"])) if request.get("ca") else None)
        if request.get("cert"):
            context.load_cert_chain(str(host.path(request["cert"])), str(host.path(request["key"])))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        with opener.open(request["url"], timeout=seconds) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")


def _probe_url(host: Host, health: dict[str, Any], seconds: float) -> str:
    url = health["url"]
    try:
        status, body = fetch(host, health, seconds)
    except (OSError, ValueError, http.client.HTTPException) as error:
        return f"{url}: {getattr(error, 'reason', error)}"
    if status in (health.get("status") or [200]):
        return ""
    # Kubernetes answers a line for each of its checks; those that are well would hide the others.
    wrong = " ".join(line for line in body.splitlines() if not line.startswith("[+]"))
    return f"{url} answered {status} {wrong[:500]}".strip()


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
