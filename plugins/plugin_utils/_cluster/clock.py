# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clocks of hosts, each read by its host between two looks at the control node's. Seconds since 1970."""

from __future__ import annotations

from collections.abc import Mapping

CLOCK_SECONDS = 1.0
TIME_SERVICE = "run a time service (chrony, systemd-timesyncd) on both"
Times = Mapping[str, float]


def drift(times: Times) -> tuple[float, str]:
    """How far a host's clock certainly is from the control node's, and on which side; no side when near enough."""
    ahead, behind = times["host"] - times["after"], times["before"] - times["host"]
    if max(ahead, behind) <= CLOCK_SECONDS:
        return 0.0, ""
    return max(ahead, behind), "ahead of" if ahead > behind else "behind"


def apart(times: Mapping[str, Times]) -> tuple[str, str, float] | None:
    """The hosts whose clocks are furthest apart, the one ahead first, and how far; None when they are near enough."""
    if not times:
        return None
    ahead = max(times, key=lambda name: times[name]["host"] - times[name]["after"])
    behind = min(times, key=lambda name: times[name]["host"] - times[name]["before"])
    seconds = times[ahead]["host"] - times[ahead]["after"] - (times[behind]["host"] - times[behind]["before"])
    return (ahead, behind, seconds) if seconds > CLOCK_SECONDS else None
