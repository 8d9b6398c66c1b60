# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rotations on a running lab: `make test-rotate`. They take minutes each, so they are not in tests/lab."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Where scripts/setup.sh puts this checkout for Ansible.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".lab" / "collections"))

from ansible_collections.selfhosted.kubernetes.tests.lab.conftest import lab, namespace
from ansible_collections.selfhosted.kubernetes.tests.lab.support import Lab
from ansible_collections.selfhosted.kubernetes.tests.rotate.clients import Clients

__all__ = ["clients", "lab", "namespace"]


@pytest.fixture(scope="module")
def clients(lab: Lab, namespace: str) -> Iterator[Clients]:
    """Programs that use the cluster, to be watched."""
    clients = Clients(lab, namespace)
    yield clients
    clients.close()
