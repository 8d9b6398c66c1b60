# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a daemon of this host is well, as it says itself on its socket: quick, and also while no monitor answers."""

from __future__ import annotations

import json
import socket
import struct
import sys
from pathlib import Path
from typing import Any

SOCKETS = "/run/ceph"
OSDS = "/var/lib/ceph/osd"
SECONDS = 5.0
# What to ask, and the states in which a daemon does its work.
QUESTIONS = {
    "mon": ("mon_status", ("leader", "peon")),
    "mds": ("status", ("up:active", "up:standby", "up:standby-replay")),
    "osd": ("status", ("active",)),
}


def ask(path: str, command: str) -> dict[str, Any]:
    """One command on an admin socket: a text that ends with a zero, answered by a length and JSON."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(SECONDS)
        sock.connect(path)
        sock.sendall(json.dumps({"prefix": command}).encode() + b"\0")
        with sock.makefile("rb") as stream:
            (length,) = struct.unpack(">I", stream.read(4))
            answer = json.loads(stream.read(length))
    return answer if isinstance(answer, dict) else {}


def identity(kind: str, name: str) -> str:
    """An OSD is named by its disk, and numbered by the cluster."""
    return Path(OSDS, name, "whoami").read_text(encoding="ascii").strip() if kind == "osd" else name


def complaint(kind: str, name: str) -> str:
    """What is wrong with a daemon, empty when nothing is."""
    command, well = QUESTIONS[kind]
    try:
        state = str(ask(f"{SOCKETS}/ceph-{kind}.{identity(kind, name)}.asok", command).get("state"))
    except (OSError, ValueError, struct.error) as error:
        return f"its socket does not answer: {error}"
    return "" if state in well else f"its state is {state}"


if __name__ == "__main__":
    sys.exit(complaint(*sys.argv[1:3]) or 0)
