# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes this checkout importable as the collection, wherever it lies."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes says what else the machine does.
settings.register_profile("any-machine", deadline=None)
settings.load_profile("any-machine")

CHECKOUT = Path(__file__).resolve().parents[2]
COLLECTIONS = Path(tempfile.mkdtemp(prefix="collections-"))
(COLLECTIONS / "ansible_collections" / "selfhosted").mkdir(parents=True)
(COLLECTIONS / "ansible_collections" / "selfhosted" / "kubernetes").symlink_to(CHECKOUT)
sys.path.insert(0, str(COLLECTIONS))


@pytest.fixture(scope="session")
def tool() -> Callable[[str], str]:
    """Where promtool and amtool are: installed, or where scripts/setup.sh unpacks them."""
    return lambda name: shutil.which(name) or str(CHECKOUT / ".lab/tools/usr/bin" / name)


def pytest_unconfigure() -> None:
    """Leave no folder behind."""
    (COLLECTIONS / "ansible_collections" / "selfhosted" / "kubernetes").unlink(missing_ok=True)
    for folder in ("ansible_collections/selfhosted", "ansible_collections", ""):
        if (COLLECTIONS / folder).is_dir():
            (COLLECTIONS / folder).rmdir()
