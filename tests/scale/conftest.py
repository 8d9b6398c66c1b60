# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same fixtures as the tests of a running lab have, and what these tests measure."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".lab" / "collections"))

from ansible_collections.selfhosted.kubernetes.tests.lab.conftest import lab, namespace, pytest_generate_tests
from ansible_collections.selfhosted.kubernetes.tests.scale.machines import Figures

__all__ = ["figures", "lab", "namespace", "pytest_generate_tests"]


@pytest.fixture(scope="session")
def figures() -> Figures:
    """Of all tests."""
    return Figures()
