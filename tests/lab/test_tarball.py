# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as users install it: built, installed into an empty folder, and used from there."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ansible_collections.selfhosted.kubernetes.tests.lab.support import (
    ENVIRONMENT,
    MACHINES,
    MASTERS,
    ROOT,
    Lab,
    site,
)


def test_site_run_from_a_tarball(lab: Lab, tmp_path: Path) -> None:
    """It finds all that it needs in there, and a cluster that a checkout made is as it should be."""
    installed = tmp_path / "collections"
    config = tmp_path / "ansible.cfg"
    # What docs/performance.md tells users to set.
    text = f"[defaults]\ncollections_path = {installed}\nforks = 50\n[ssh_connection]\npipelining = true\n"
    config.write_text(text, encoding="utf-8")
    environment = {**ENVIRONMENT, "ANSIBLE_CONFIG": str(config)}

    def galaxy(*arguments: str) -> None:
        command = ["ansible-galaxy", "collection", *arguments]
        subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)

    galaxy("build", f"--output-path={tmp_path}", str(ROOT))
    (tarball,) = tmp_path.glob("selfhosted-kubernetes-*.tar.gz")
    # Its dependency comes with the package `ansible`.
    galaxy("install", "--no-deps", f"--collections-path={installed}", str(tarball))
    before = lab.started()
    run = site(tmp_path, environment={"ANSIBLE_CONFIG": str(config)}, name="selfhosted.kubernetes.site")
    # The one change is on the control node: kubectl why is of the copy of the collection that ran last.
    assert run.changed == {**dict.fromkeys(MACHINES, 0), MASTERS[0]: 1}
    assert lab.started() == before
