# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster that tests spoil."""

from __future__ import annotations

import pytest
from ansible_collections.selfhosted.kubernetes.tests.unit.plugins.plugin_utils._health.world import Cluster


@pytest.fixture
def cluster() -> Cluster:
    """Three masters, two workers and an outside host, all well."""
    return Cluster()
