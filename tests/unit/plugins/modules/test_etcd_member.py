# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A member is removed as soon as etcd agrees, and only etcd's patience is waited for."""

from __future__ import annotations

from itertools import count
from unittest.mock import Mock

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._etcd import Member
from ansible_collections.selfhosted.kubernetes.plugins.modules import etcd_member

UNHEALTHY = (1, "", "Error: etcdserver: unhealthy cluster")
GONE = (0, "{}", "")
GOING = Member("a2", "m2", healthy=False)


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Nobody waits; a failure ends the module."""
    clock = count()
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    return Mock(fail_json=Mock(side_effect=SystemExit))


def test_a_cluster_that_settles(module: Mock) -> None:
    """Another member came back a moment ago."""
    module.run_command.side_effect = [UNHEALTHY, UNHEALTHY, GONE]
    etcd_member.remove(module, GOING, ["https://a:2379", "https://c:2379"])
    asked = "--endpoints=https://a:2379,https://c:2379"
    assert module.run_command.call_args.args == (["/usr/local/bin/etcdctl", asked, "member", "remove", "a2"],)


@pytest.mark.parametrize(("answer", "tries"), [(UNHEALTHY, range(15, 25)), ((1, "", "Error: not found"), [1])])
def test_a_cluster_that_does_not(module: Mock, answer: tuple[int, str, str], tries: list[int]) -> None:
    """In etcd's words."""
    module.run_command.side_effect = lambda _argv: answer
    with pytest.raises(SystemExit):
        etcd_member.remove(module, GOING, ["https://a:2379"])
    assert module.fail_json.call_args.kwargs == {"msg": f"etcd does not let m2 go: {answer[2]}"}
    assert module.run_command.call_count in tries
