# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a rotation is. The files say it; `rotations.json` remembers which is the old and which the new one.

A rotation is [old] -> trust -> [old, new] -> issue -> [new, old] -> drop -> [new], where the first one is in use.
Each phase is one file that is replaced last, so that a run that is killed has done it or has not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from .certificate import BACKDATE, PkiError
from .folder import Folder

RECORDS = "rotations.json"
LEAFS = "certs"
PHASES = ("trust", "issue", "drop", "end")
START, TRUSTED, ISSUED, DROPPED = range(4)
DONE = {"trust": TRUSTED, "issue": ISSUED, "drop": DROPPED}


class Rotation:
    """What is asked for (`what` is a name below the folder, or LEAFS for all certificates), and what was begun."""

    def __init__(self, folder: Folder, now: datetime, asked: Mapping[str, str] | None) -> None:
        self.folder = folder
        self.now = now
        self.what = asked["what"] if asked else ""
        self.phase = asked["phase"] if asked else ""
        self.steps: list[tuple[str, str]] = []
        self.records = self._read()

    def due(self, name: str, ids: Sequence[str]) -> str:
        """The phase that is to be done now; `ids` has who is trusted, first the one in use."""
        if name != self.what or self.phase == "end":
            return ""
        at, wanted = self.position(name, ids), DONE[self.phase]
        if at >= wanted:
            return ""
        if at == wanted - 1:
            return self.phase
        if self.folder.check:
            return ""  # The phases before would have been written.
        raise PkiError(f"{name}: `{self.phase}` is a phase too early: run playbooks/rotate_certificates.yml")

    def position(self, name: str, ids: Sequence[str]) -> int:
        """How far it is."""
        record = self.records.get(name)
        if record is None or (ids[0] == record["from"] and record["to"] not in ids):
            return START
        if ids[0] == record["from"]:
            return TRUSTED
        if ids[0] == record["to"]:
            return ISSUED if record["from"] in ids else DROPPED
        raise PkiError(
            f"{name} is neither what its rotation began with nor what replaces it: put both back from the backup of "
            f"the state folder, or take it out of {self.folder.path / RECORDS} when that rotation is over"
        )

    def in_progress(self, name: str) -> bool:
        """Whether it was begun and has not ended."""
        return name in self.records

    def begin(self, name: str, old: str, new: str) -> None:
        """Remember who is who; before the new one can be seen by anybody."""
        self._save({**self.records, name: {"from": old, "to": new}})

    def step(self, name: str, text: str) -> None:
        """Something to report."""
        self.steps.append((name, text))

    def end(self, positions: Mapping[str, int]) -> None:
        """Forget a rotation that every host has followed."""
        if self.phase != "end" or self.what not in self.records:
            return
        if positions.get(self.what, DROPPED) != DROPPED:
            raise PkiError(f"{self.what}: its rotation is not over: run playbooks/rotate_certificates.yml")
        self._save({name: record for name, record in self.records.items() if name != self.what})

    # ---- all certificates: no CA changes, so there is one phase
    def renew_before(self) -> datetime | None:
        """Certificates made before this moment are to be issued again: when their rotation began."""
        if self.what != LEAFS or self.phase != "issue":
            return None
        if LEAFS not in self.records:
            self._save({**self.records, LEAFS: {"began": self.now.isoformat()}})
        began = datetime.fromisoformat(self.records[LEAFS]["began"])
        if self.now < began:
            raise PkiError(
                f"the rotation of all certificates began at {began:%Y-%m-%d %H:%M} UTC, which is later than now: "
                "correct the clock of this machine"
            )
        return began - BACKDATE

    # ---- the file
    def _read(self) -> dict[str, Any]:
        data = self.folder.read(RECORDS)
        try:
            return dict(json.loads(data)) if data is not None else {}
        except (ValueError, TypeError) as error:
            raise PkiError(
                f"{self.folder.path / RECORDS} is damaged: put it back from the backup of the state folder"
            ) from error

    def _save(self, records: dict[str, Any]) -> None:
        self.records = records
        if records:
            self.folder.write(RECORDS, json.dumps(records, indent=1, sort_keys=True).encode() + b"\n", durable=True)
        else:
            self.folder.remove(RECORDS)
