#!/usr/bin/python3
# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on a worker until SIGTERM: asks a Service each 100 ms, by a new connection; one line for each answer.

No request waits for another, as users do not: a lost packet, which TCP sends again after a second, costs the one that
it belonged to, and is no gap. Nobody gets an answer while the Service is gone.
"""

from __future__ import annotations

import http.client
import sys
import threading
import time

INTERVAL_SECONDS, TIMEOUT_SECONDS = 0.1, 1.0
ADDRESS = sys.argv[1]
WRITING = threading.Lock()


def ask() -> str:
    """One request."""
    connection = http.client.HTTPConnection(ADDRESS, 80, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/hostname")
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException) as error:
        return type(error).__name__
    finally:
        connection.close()
    return "ok" if answer.status == 200 else f"http-{answer.status}"


def tell(number: int) -> None:
    """One request and its line."""
    result = ask()
    with WRITING:
        sys.stdout.write(f"{time.time():.3f} {result} {number}\n")
        sys.stdout.flush()


def main() -> None:
    """Ask on and on."""
    number = 0
    while True:
        threading.Thread(target=tell, args=(number,), daemon=True).start()
        number += 1
        time.sleep(INTERVAL_SECONDS)


main()
