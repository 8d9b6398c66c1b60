# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run at a time on a host: what a run has begun here goes on when that run is killed on the control node.

The next run, which finishes its work, would otherwise stop what the first one is waiting for, and be rolled back by it.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from .host import ComponentError, Host

# Not in the state folder, which `reset` removes while it holds the lock.
LOCK = "/run/selfhosted-kubernetes.lock"
# As long as one command on the host may take.
WAIT_SECONDS = 600.0
INTERVAL_SECONDS = 0.1


@contextmanager
def alone(host: Host, check: bool, seconds: float = WAIT_SECONDS) -> Iterator[float]:
    """Wait until no other run works on the host; yields how long that took. Looking (check mode) disturbs nobody."""
    if check:
        yield 0.0
        return
    path = host.path(LOCK)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The kernel forgets the lock with its process.
    with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+", encoding="utf-8") as stream:
        began = time.monotonic()
        while not _locked(stream.fileno()):
            if time.monotonic() - began > seconds:
                raise ComponentError(
                    f"another run has been at work on this host for more than {seconds:.0f} s, as process "
                    f"{stream.read().strip()}: let it end, or end that process, then run again"
                )
            time.sleep(INTERVAL_SECONDS)
        stream.truncate(0)
        stream.write(f"{os.getpid()}\n")
        stream.flush()
        yield time.monotonic() - began


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
