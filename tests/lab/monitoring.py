# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an outside host's Prometheus knows, and whom its Alertmanager told."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from ansible_collections.selfhosted.kubernetes.tests.lab.support import OPERATOR, Lab, wait_until

OUTSIDE_CA = "/etc/kubernetes/pki/outside-ca.crt"
CERTIFICATE = "--cert /etc/monitoring/client.crt --key /etc/monitoring/client.key"
# As the lab's inventory says (monitoring_receivers); `heartbeat` comes by the same way.
RECEIVER = ("0.0.0.0", 9999)
MESSAGES = "/run/webhook.jsonl"
# Each body that is posted becomes a line, with the time and the path.
PROGRAM = f"""
import http.server, json, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with open({MESSAGES!r}, "a") as file:
            print(json.dumps([time.time(), self.path, body]), file=file, flush=True)
        self.send_response(200)
        self.end_headers()
http.server.ThreadingHTTPServer({RECEIVER!r}, Handler).serve_forever()
"""
ALERT_SECONDS = 60
# A target is asked every 15 s, certificates every 2 minutes.
TARGETS_SECONDS = 180


def query(lab: Lab, expression: str, moment: float | None = None, host: str = OPERATOR) -> list[dict[str, Any]]:
    """Series that the Prometheus of a host has, now or at a moment."""
    asked = urlencode({"query": expression, **({"time": moment} if moment else {})})
    url = f"https://127.0.0.1:9090/api/v1/query?{asked}"
    answer = json.loads(lab.run(host, f"curl --silent --cacert {OUTSIDE_CA} {CERTIFICATE} %s", url))
    assert answer["status"] == "success", answer
    found: list[dict[str, Any]] = answer["data"]["result"]
    return found


def down(lab: Lab, host: str = OPERATOR) -> list[str]:
    """What does not answer."""
    series = [*query(lab, "up == 0", host=host), *query(lab, "probe_success == 0", host=host)]
    return sorted(f"{it['metric']['job']} {it['metric']['instance']}" for it in series)


def quiet(lab: Lab, host: str = OPERATOR) -> None:
    """All targets are up, and an outage before is over for Alertmanager, too.

    A group lives for group_interval and 30 s after its last alert: until then a new one is not told at once.
    """
    wait_until(lambda: down(lab, host) == [], TARGETS_SECONDS, f"all targets of {host} are up")
    earlier = 'last_over_time(ALERTS{alertname="KubeAPIDown"}[1m])'
    wait_until(lambda: query(lab, earlier, host=host) == [], TARGETS_SECONDS, "KubeAPIDown is a minute ago")


def listen(lab: Lab, host: str = OPERATOR) -> None:
    """Somebody who is told by the Alertmanager of a host."""
    lab.run(host, "systemd-run --quiet --unit=webhook /usr/bin/python3 -c %s", PROGRAM)


def no_longer_listen(lab: Lab, host: str = OPERATOR) -> None:
    """Nobody is, and what was told is forgotten."""
    lab.run(host, f"systemctl stop webhook; rm -f {MESSAGES}")


def messages(lab: Lab, path: str, alert: str, host: str = OPERATOR) -> list[float]:
    """When messages about an alert came."""
    lines = [json.loads(line) for line in lab[host].run(f"cat {MESSAGES}").stdout.splitlines()]
    return [
        moment
        for moment, to, body in lines
        if to == path and any(it["labels"]["alertname"] == alert and it["status"] == "firing" for it in body["alerts"])
    ]
