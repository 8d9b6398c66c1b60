# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What these tests measure."""

from __future__ import annotations

import pytest
from ansible_collections.selfhosted.kubernetes.tests.scale.machines import Figures


@pytest.fixture(scope="session")
def figures() -> Figures:
    """Of all tests."""
    return Figures()
