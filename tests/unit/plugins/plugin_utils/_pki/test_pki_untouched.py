# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an unchanged run does to the files: nothing, not even writing the same bytes again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def stats(folder: Path) -> dict[str, tuple[int, int, int]]:
    """Inode, time of change and mode of everything but the lock."""
    paths = [path for path in [folder, *folder.rglob("*")] if path.name != ".lock"]
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns, path.stat().st_mode) for path in paths}


@pytest.mark.parametrize("check", [False, True], ids=["run", "check mode"])
@pytest.mark.parametrize("passphrase", ["", "correct horse"], ids=["plain", "encrypted"])
def test_an_unchanged_run_touches_no_file(
    run: Callable[..., Any], folder: Path, wanted: dict[str, Any], check: bool, passphrase: str
) -> None:
    """Nor does one that wants the same in another order."""
    run(passphrase=passphrase)
    before = stats(folder)
    run(passphrase=passphrase, check=check)
    for names in ("cas", "certificates", "keys"):
        wanted[names].reverse()
    wanted["certificates"][-1]["dns"].reverse()
    assert not run(passphrase=passphrase, check=check).issued
    assert stats(folder) == before


def test_only_what_differs_is_written(run: Callable[..., Any], folder: Path, wanted: dict[str, Any]) -> None:
    """One certificate and its key; neither index, CAs nor others."""
    run()
    before = stats(folder)
    wanted["certificates"][1]["o"] = ["other"]
    run()
    after = stats(folder)
    changed = {str(Path(path).relative_to(folder)) for path in after if before[path] != after[path]}
    assert changed == {"certs", "certs/admin.crt", "certs/admin.key"}
    assert before.keys() == after.keys()
