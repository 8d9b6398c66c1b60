# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is tuned is what the page says, each option with its reason."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[3]
VARS = yaml.safe_load((ROOT / "roles/ceph/vars/main.yml").read_text(encoding="utf-8"))
TUNING, LIVE = VARS["__ceph_tuning"], VARS["__ceph_live"]
PAGE = (ROOT / "docs/storage.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (\w+) \| `([\w/]+)` \| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)


def test_the_page_has_every_option_with_its_reason() -> None:
    """In the same order; values that are computed are named by the variable that they come from."""
    wanted = [
        (section, name, str(it["value"]), it["why"], it["source"])
        for section, options in (TUNING | LIVE).items()
        for name, it in options.items()
    ]
    found = ROW.findall(PAGE)
    assert [it[:2] for it in found] == [it[:2] for it in wanted]
    for (_, name, said, why, source), (_, _, value, reason, described) in zip(found, wanted, strict=True):
        assert (re.sub(r"`(\w+)`", r"{{ \1 }}", why), source) == (reason, described), name
        assert said in value.lower() or said.strip("`") in value, name


def test_mclock_is_not_worked_against() -> None:
    """What Ceph 17 and newer decide themselves (mClock config reference) is left to them, or as they want it."""
    own = {"osd_max_backfills": 1, "osd_recovery_max_active": 0, "osd_recovery_max_active_hdd": 3}
    own["osd_recovery_max_active_ssd"] = 10
    assert [name for name, it in TUNING["osd"].items() if it["value"] != own.get(name, it["value"])] == []


def test_a_silent_metadata_server_is_given_up() -> None:
    """Monitors that look more seldom than grace less interval take silence for their own delay (MDSMonitor::tick)."""
    value = {name: it["value"] for name, it in TUNING["global"].items()}
    assert value["mon_tick_interval"] < value["mds_beacon_grace"] - value["mds_beacon_interval"]
