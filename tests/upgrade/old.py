# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The version that an upgrade begins with."""

from __future__ import annotations

from ansible_collections.selfhosted.kubernetes.tests.lab.support import Lab

# As molecule/upgrade/converge.yml installs it.
OLD = "1.36.3"


def versions(lab: Lab) -> dict[str, str]:
    """Kubelet's version of each node."""
    return {
        node["metadata"]["name"]: node["status"]["nodeInfo"]["kubeletVersion"] for node in lab.get("nodes")["items"]
    }
