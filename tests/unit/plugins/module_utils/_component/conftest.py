# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Worlds that are quick to make and to wait for."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._component import binaries, engine, health
from ansible_collections.selfhosted.kubernetes.tests.unit.plugins.module_utils._component.world import World, download


@pytest.fixture
def new_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], World]:
    """Makes a world; its files need not survive a power cut, and nobody waits."""
    monkeypatch.setattr(os, "fsync", lambda _number: None)
    monkeypatch.setattr(binaries, "_download", download)
    monkeypatch.setattr(ssl, "create_default_context", lambda **_options: None)
    monkeypatch.setattr(health, "INTERVAL_SECONDS", 0.001)
    monkeypatch.setattr(engine, "GRACE_SECONDS", 0.01)
    monkeypatch.setattr(engine, "FLOOR_SECONDS", 0.01)

    numbers = count()

    def make() -> World:
        root = tmp_path / f"world-{next(numbers)}"
        root.mkdir()
        return World(root)

    return make


@pytest.fixture
def world(new_world: Callable[[], World]) -> World:
    """One world."""
    return new_world()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host's root folder, empty."""
    return tmp_path
