# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command logs on outside hosts: what was said, as a question in LogsQL, the newest lines last."""

from __future__ import annotations

import argparse
import base64
import json
import sys
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlencode

STORE = "http://127.0.0.1:9427/select/logsql/query"
PASSWORD = Path("/etc/logging/password")
EXAMPLES = """examples:
  logs 'node:=m1 _SYSTEMD_UNIT:=kube-apiserver.service'   what a unit of a host said last
  logs 'namespace:=web pod:web-'                          pods whose names begin so, and events about them
  logs -n 500 'log:=event type:=Warning _time:1h'         warnings of the last hour
  logs 'log:=audit verb:=delete'                          who deleted what
The language: https://docs.victoriametrics.com/victorialogs/logsql/"""


def shown(line: dict[str, str]) -> str:
    """One line for people: when, where, who, what."""
    if line.get("log") == "audit":
        what = " ".join((line.get("user.username", ""), line.get("verb", ""), line.get("_msg", "")))
    elif line.get("log") == "event":
        name = f"{line.get('kind', '')}/{line.get('name', '')}"
        what = " ".join((line.get("type", ""), line.get("reason", ""), name, line.get("_msg", "")))
    else:
        what = line.get("_msg", json.dumps(line))
    who = "/".join(line[key] for key in ("namespace", "pod", "container") if line.get(key))
    unit = line.get("_SYSTEMD_UNIT") or line.get("SYSLOG_IDENTIFIER") or line.get("log", "-")
    return f"{line.get('_time', '')} {line.get('node', '-')} {who or unit} {what}"


def ask(query: str, count: int) -> list[dict[str, str]]:
    """The newest lines, the newest last."""
    password = PASSWORD.read_text(encoding="utf-8").strip()
    headers = {"Authorization": "Basic " + base64.b64encode(f"logging:{password}".encode()).decode()}
    request = urllib.request.Request(STORE, urlencode({"query": query, "limit": count}).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        lines = [json.loads(text) for text in answer]
    return sorted(lines, key=lambda it: it.get("_time", ""))


def main() -> None:
    """As root."""
    parser = argparse.ArgumentParser(
        prog="logs", description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-n", metavar="LINES", type=int, default=50, help="how many of the newest lines (50)")
    parser.add_argument("-j", action="store_true", help="all fields, as JSON")
    parser.add_argument("query", metavar="QUERY", help="LogsQL, as one word")
    wish = parser.parse_args()
    try:
        for line in ask(wish.query, wish.n):
            sys.stdout.write(f"{json.dumps(line) if wish.j else shown(line)}\n")
    except urllib.error.HTTPError as error:
        sys.exit(f"logs: {error.read().decode(errors='replace').strip() or error}")
    except OSError as error:
        sys.exit(
            f"logs: {getattr(error, 'reason', None) or error}; is this root on an outside host with victoria-logs?"
        )


if __name__ == "__main__":
    main()
