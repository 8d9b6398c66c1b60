#!/usr/bin/python3
# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs on a worker until SIGTERM: asks a Service each 100 ms, by a new connection; one line for each answer."""

from __future__ import annotations

import http.client
import sys
import time

INTERVAL_SECONDS, TIMEOUT_SECONDS = 0.1, 1.0
ADDRESS = sys.argv[1]


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


def main() -> None:
    """Ask on and on."""
    number = 0
    while True:
        began = time.time()
        result = ask()
        sys.stdout.write(f"{time.time():.3f} {result} {number}\n")
        sys.stdout.flush()
        number += 1
        time.sleep(max(0.0, INTERVAL_SECONDS - (time.time() - began)))


main()
