#!/usr/bin/python3
# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on a worker until SIGTERM: an API write each 100 ms through the local endpoint; one line for each answer.

Standard output has `TIME ok NUMBER` for a write that was acknowledged, and `TIME REASON NUMBER` for another.
As programs should, it reads its token for each request and its CAs for each connection: both may be replaced.
"""

from __future__ import annotations

import http.client
import json
import ssl
import sys
import time

INTERVAL_SECONDS, TIMEOUT_SECONDS = 0.1, 2.0
NAMESPACE, CREDENTIALS = sys.argv[1:]


def connect() -> http.client.HTTPSConnection:
    """To the local endpoint, by the CAs of now."""
    context = ssl.create_default_context(cafile=f"{CREDENTIALS}/ca.crt")
    return http.client.HTTPSConnection("127.0.0.1", 7443, timeout=TIMEOUT_SECONDS, context=context)


def write(connection: http.client.HTTPSConnection, number: int) -> str:
    """Create a ConfigMap of that number."""
    with open(f"{CREDENTIALS}/token", encoding="ascii") as stream:
        headers = {"Authorization": f"Bearer {stream.read().strip()}", "Content-Type": "application/json"}
    metadata = {"name": f"write-{number}"}
    body = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    connection.request("POST", f"/api/v1/namespaces/{NAMESPACE}/configmaps", body, headers)
    answer = connection.getresponse()
    answer.read()
    # 409: an earlier try, whose answer was lost, had worked.
    return "ok" if answer.status in (201, 409) else f"http-{answer.status}"


def main() -> None:
    """Write on and on; a number is tried until it is acknowledged."""
    connection, number = connect(), 0
    while True:
        began = time.time()
        try:
            if connection.sock is None:  # Either side ended it.
                connection = connect()
            result = write(connection, number)
        except (OSError, http.client.HTTPException) as error:
            result = type(error).__name__
            connection.close()
        sys.stdout.write(f"{time.time():.3f} {result} {number}\n")
        sys.stdout.flush()
        number += result == "ok"
        time.sleep(max(0.0, INTERVAL_SECONDS - (time.time() - began)))


main()
