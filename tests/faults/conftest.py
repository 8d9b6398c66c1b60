# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same fixtures as the tests of a running lab have."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / ".lab" / "collections"))

from ansible_collections.selfhosted.kubernetes.tests.lab.conftest import lab, namespace, pytest_generate_tests

__all__ = ["lab", "namespace", "pytest_generate_tests"]
