# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the control node does around the module: clocks, and hosts that do not answer."""

from __future__ import annotations

import time
from typing import Any
from unittest.mock import Mock

import pytest
from ansible.errors import AnsibleConnectionFailure
from ansible_collections.selfhosted.kubernetes.plugins.action import health_facts


def ask(monkeypatch: pytest.MonkeyPatch, execute: Any) -> dict[str, Any]:
    """What the action returns when the module does as told."""
    task = Mock(async_val=0, check_mode=False, diff=False)
    action = health_facts.ActionModule(task, Mock(transport="local"), Mock(), Mock(), Mock(), None)
    monkeypatch.setattr(action, "_execute_module", execute)
    return action.run(task_vars={})


def test_the_hosts_clock_is_between_two_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one as if it had been read when the host read its own."""
    began = time.time()
    found = ask(monkeypatch, lambda **_options: {"clock": {"host": 5.0, "elapsed": 100.0}})
    clock = found["clock"]
    assert clock["host"] == 5.0
    assert began <= clock["before"] <= time.time()
    assert clock["after"] <= time.time() - 100


def test_a_host_that_says_nothing_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an answer, as every other host's; and no alarm is left behind."""
    monkeypatch.setattr(health_facts, "HOST_SECONDS", 0.05)
    found = ask(monkeypatch, lambda **_options: time.sleep(5))
    assert found["silent"] == "connected, but said nothing for 0 s"
    assert "failed" not in found
    time.sleep(0.1)


def test_a_host_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line, with ssh's own words."""
    problem = AnsibleConnectionFailure(
        "Failed to connect to the host via ssh: ssh: connect to host a port 22:\nrefused"
    )
    found = ask(monkeypatch, Mock(side_effect=problem))
    assert found["silent"] == "connect to host a port 22: refused"


def test_a_module_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its words are the reason."""
    found = ask(
        monkeypatch, lambda **_options: {"failed": True, "msg": "its records cannot be read: Permission denied"}
    )
    assert found["silent"] == "its records cannot be read: Permission denied"
    assert "failed" not in found
