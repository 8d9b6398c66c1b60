# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What containerd's unit does before it starts."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path

from jinja2 import Environment

TEMPLATES = Path(__file__).resolve().parents[3] / "roles/containerd/templates/etc"
# How containerd fills in the node's part of the pod network.
RANGES = re.compile(r"\{\{range .*\{\{end\}\}")


def before_start(conflist: Path, mtu: int) -> None:
    """Run the unit's ExecStartPre."""
    text = (TEMPLATES / "systemd/system/containerd.service.j2").read_text(encoding="utf-8")
    jinja = Environment(autoescape=False)
    unit = jinja.from_string(text).render(__containerd_conflist=conflist, containerd_mtu=mtu)
    (command,) = re.findall(r"^ExecStartPre=(.*)$", unit, re.MULTILINE)
    subprocess.run(shlex.split(command), check=True)


def test_another_mtu_reaches_the_pods_network(tmp_path: Path) -> None:
    """Nothing else of what containerd wrote is touched; where it wrote nothing yet, there is nothing to do."""
    text = (TEMPLATES / "containerd/cni.conflist.tmpl.j2").read_text(encoding="utf-8")
    filled = Environment(autoescape=False).from_string(text).render(containerd_mtu=1450)
    conflist = tmp_path / "10-containerd-net.conflist"
    before_start(conflist, 1500)
    assert not conflist.exists()
    conflist.write_text(RANGES.sub('[{"subnet": "10.244.150.0/24"}]', filled), encoding="utf-8")
    wanted = json.loads(conflist.read_text(encoding="utf-8"))
    assert wanted["plugins"][0]["mtu"] == 1450
    wanted["plugins"][0]["mtu"] = 1500
    before_start(conflist, 1500)
    assert json.loads(conflist.read_text(encoding="utf-8")) == wanted
