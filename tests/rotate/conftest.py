# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users at work during all rotations of a file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ansible_collections.selfhosted.kubernetes.tests.lab.load import load
from ansible_collections.selfhosted.kubernetes.tests.lab.support import Lab
from ansible_collections.selfhosted.kubernetes.tests.rotate.watch import Row, Watch, start_pod


@pytest.fixture(scope="session")
def rows() -> list[Row]:
    """The table of figures."""
    return []


@pytest.fixture(scope="module")
def watch(lab: Lab, namespace: str, rows: list[Row]) -> Iterator[Watch]:
    """Users, and a pod that is to go on, to be watched."""
    with load(lab, namespace, start_pod(lab, namespace)) as users:
        yield Watch(lab, users, rows)
