# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A check finds rotations that were begun and left."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._health.certificates import certificates
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._health.model import Finding, Seen

NOBODY = Seen({}, {}, {})


def findings(pki_dir: Path | None) -> list[Finding]:
    """Of a control node alone."""
    return certificates(NOBODY, pki_dir, datetime.now(UTC)).findings


@pytest.mark.parametrize(
    ("content", "level", "what"),
    [
        (None, None, ""),
        ('{"keys/sa": {}, "ca/etcd": {}}', "warning", "a rotation has begun and not ended: ca/etcd, keys/sa"),
        ("nonsense", "failure", "rotations.json cannot be read: "),
    ],
)
def test_rotations(tmp_path: Path, content: str | None, level: str | None, what: str) -> None:
    """The file is there from the first phase until the end of the last one."""
    if content is not None:
        (tmp_path / "rotations.json").write_text(content)
    found = findings(tmp_path)
    assert [it.level for it in found] == ([level] if level else [])
    assert all(what in it.what and it.hosts == ("control node",) for it in found)


def test_no_folder() -> None:
    """Nothing is known of a control node elsewhere."""
    assert findings(None) == []
