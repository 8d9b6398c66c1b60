# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Ceph says of itself; how its daemons are, components have said."""

from __future__ import annotations

from .model import Area, Seen

PAGE = "docs/runbooks/storage.md"
# As `ceph health` has it; all else is a warning.
ERROR = "HEALTH_ERR"


def storage(seen: Seen) -> Area:
    """The first answer; all monitors say the same."""
    area, answers = Area("storage"), seen.answers("storage")
    if not answers:
        asked = tuple(seen.asked("storage"))
        why = next(iter(seen.errors("storage").values()), "no storage host answers")
        area.fail(asked, f"nothing is known of the storage: {why}", f"{PAGE}#storagesilent")
        area.summary, area.known = "not known", False
        return area
    host, said = next(iter(answers.items()))
    for name, check in sorted(said["checks"].items()):
        what = f"{name}: {check['summary']['message']}"
        report = area.fail if check["severity"] == ERROR else area.warn
        report("storage", what, f"on {host}: ceph health detail; {PAGE}")
    area.summary = said["status"]
    return area
