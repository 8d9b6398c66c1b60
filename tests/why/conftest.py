# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One cluster for all tests of this folder; SELFHOSTED_RECORD=write keeps its answers for the unit tests."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.selfhosted.kubernetes.tests.why.cluster import Cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """All cases are in it."""
    with tempfile.TemporaryDirectory(prefix="why-") as folder:
        cluster = Cluster(Path(folder))
        yield cluster
        cluster.close()
