# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Metrics, as Prometheus keeps them."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from .common import BackupError

# A finished block, which is never written again, has a ULID as its name (github.com/prometheus/prometheus, tsdb/docs).
BLOCK = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")
TRIES = 3


def linked(folder: Path) -> Path:
    """Hard links to all finished blocks, beside the folder: Prometheus removes blocks at any time."""
    there = folder.with_name("backup")
    for _ in range(TRIES):
        shutil.rmtree(there, ignore_errors=True)
        there.mkdir(mode=0o700)
        try:
            for block in folder.iterdir():
                if BLOCK.fullmatch(block.name):
                    shutil.copytree(block, there / block.name, copy_function=os.link)
        except (FileNotFoundError, shutil.Error):
            # Merged just now; what it went into is there.
            continue
        return there
    raise BackupError(f"{folder}: its blocks could not be linked into {there}")
