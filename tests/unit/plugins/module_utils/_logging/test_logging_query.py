# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `logs` shows of a line, by the kind of log that it is from."""

from __future__ import annotations

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._logging import query

AT = {"_time": "2026-11-26T14:00:00Z", "node": "w1"}


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (
            {"log": "pod", "namespace": "web", "pod": "web-1", "container": "app", "_msg": "hello"},
            "web/web-1/app hello",
        ),
        ({"log": "journal", "_SYSTEMD_UNIT": "kubelet.service", "_msg": "hello"}, "kubelet.service hello"),
        ({"log": "journal", "SYSLOG_IDENTIFIER": "kernel", "_msg": "hello"}, "kernel hello"),
        (
            {"log": "audit", "user.username": "alice", "verb": "delete", "_msg": "/api/v1/pods"},
            "audit alice delete /api/v1/pods",
        ),
        (
            {
                "log": "event",
                "namespace": "web",
                "type": "Warning",
                "reason": "BackOff",
                "kind": "Job",
                "name": "j",
                "_msg": "again",
            },
            "web Warning BackOff Job/j again",
        ),
        ({"hits": "3"}, '- {"_time": "2026-11-26T14:00:00Z", "node": "w1", "hits": "3"}'),
    ],
)
def test_shown(line: dict[str, str], text: str) -> None:
    """When, on which host, who, what."""
    assert query.shown({**AT, **line}) == f"2026-11-26T14:00:00Z w1 {text}"
