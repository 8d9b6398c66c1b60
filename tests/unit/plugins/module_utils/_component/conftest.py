# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Worlds that are quick to make and to wait for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._component import binaries, engine, health, host
from ansible_collections.selfhosted.kubernetes.tests.unit.plugins.module_utils._component.world import World


@pytest.fixture
def new_world(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Callable[[], World]:
    """Makes a world; its files need not survive a power cut, and nobody waits."""
    monkeypatch.setattr(host.os, "fsync", lambda _number: None)
    monkeypatch.setattr(health, "INTERVAL_SECONDS", 0.001)
    monkeypatch.setattr(engine, "GRACE_SECONDS", 0.01)

    def make() -> World:
        world = World(tmp_path_factory.mktemp("world"))
        monkeypatch.setattr(binaries, "_download", world.download)
        return world

    return make


@pytest.fixture
def world(new_world: Callable[[], World]) -> World:
    """One world."""
    return new_world()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host's root folder, empty."""
    return tmp_path
