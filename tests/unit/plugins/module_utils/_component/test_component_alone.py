# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that meet on a host."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._component.alone import LOCK, alone
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._component.host import ComponentError, Host

# Takes the lock, says so, and never ends.
HOLDER = """
import sys, time
sys.path[:0] = {path!r}
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._component.alone import alone
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._component.host import Host
with alone(Host({root!r}), False):
    print("held", flush=True)
    time.sleep(600)
"""


def test_the_second_waits_for_the_first(root: Path) -> None:
    """Their work is never mixed, and the second says that it waited."""
    host, order = Host(str(root)), []
    begun = threading.Event()

    def first() -> None:
        with alone(host, check=False):
            begun.set()
            order.append("first begins")
            time.sleep(0.3)
            order.append("first ends")

    thread = threading.Thread(target=first)
    thread.start()
    assert begun.wait(5)
    with alone(host, check=False, seconds=10) as waited:
        order.append("second")
    thread.join()
    assert order == ["first begins", "first ends", "second"]
    assert waited > 0.1


def test_who_waits_too_long_learns_for_whom_and_a_killed_process_holds_nothing(root: Path) -> None:
    """The error names the process; when that is killed, the next run needs no help."""
    script = HOLDER.format(path=sys.path, root=str(root))
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        host = Host(str(root))
        told = rf"more than 0 s, as process {holder.pid}: let it end"
        with pytest.raises(ComponentError, match=told), alone(host, check=False, seconds=0.2):
            pytest.fail("both hold it")
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
    with alone(host, check=False, seconds=5):
        assert (root / LOCK.lstrip("/")).read_text() == f"{os.getpid()}\n"


def test_looking_waits_for_nobody_and_leaves_nothing(root: Path) -> None:
    """Check mode makes no file, and goes on while somebody works."""
    host = Host(str(root))
    with alone(host, check=True) as waited:
        assert waited == 0
    assert not list(root.iterdir())
    with alone(host, check=False), alone(host, check=True, seconds=0) as waited:
        assert waited == 0
