# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site run without any network: every binary and image out of one file."""

from __future__ import annotations

import subprocess
from pathlib import Path

from ansible_collections.selfhosted.kubernetes.tests.lab.support import (
    ENVIRONMENT,
    INVENTORY,
    MACHINES,
    MASTERS,
    ROOT,
    site,
)

# Nobody listens there: whatever asks an upstream or a Go proxy fails at once.
NOWHERE = dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy", "GOPROXY"), "http://127.0.0.1:9")


def test_site_run_from_a_bundle(tmp_path: Path) -> None:
    """With an empty cache and no way out it has all that the cluster runs, to the byte: no host is changed."""
    # On the control node kubectl why knows the inventories of the run before, which were Molecule's.
    site(tmp_path)
    bundle = tmp_path / "bundle.tar"
    playbook = ["ansible-playbook", "-i", str(INVENTORY), str(ROOT / "playbooks/bundle.yml")]
    subprocess.run([*playbook, "-e", f"artifacts_bundle={bundle}"], cwd=ROOT, env=ENVIRONMENT, check=True)
    offline = ["-e", "artifacts_source=mirror", "-e", f"artifacts_mirror={bundle}"]
    run = site(tmp_path, *offline, "-e", f"artifacts_cache_dir={tmp_path}/cache", environment=NOWHERE)
    # The one change is that of the cache, on the control node.
    assert run.changed == {**dict.fromkeys(MACHINES, 0), MASTERS[0]: 1}
    print(f"site run from a bundle of {bundle.stat().st_size >> 20} MiB: {run.figures['seconds']} s")  # noqa: T201
