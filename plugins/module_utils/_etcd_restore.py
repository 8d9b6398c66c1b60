# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole cluster back to a snapshot: every member of etcd restores it, in steps that all take together.

It is the recovery of one member, with all of them as members; what was there is kept in the same place.
"""

from __future__ import annotations

from ._backup.etcd import KEYS, count_kinds, keys_of
from ._etcd_recover import UNIT, RecoverError, Recovery
from ._etcdctl import ETCDCTL


class Restoration(Recovery):
    """One host's part."""

    def prepare(self, snapshot: str, uid: str, members: list[str], token: str) -> None:
        """Verify the snapshot and make data of it, beside what is there and runs."""
        settings = self.settings()
        if settings["name"] not in [member.partition("=")[0] for member in members]:
            raise RecoverError(f"{settings['name']} is none of the members {', '.join(members)}")
        self.verify(snapshot, uid)
        # With another token than the cluster before: a member with its data is refused by those of the restored one.
        changes = {"initial-cluster": ",".join(members), "initial-cluster-token": token}
        self.restore(snapshot, {**settings, **changes})

    def start(self, count: int) -> None:
        """Put it in the place of what was there, and wait until all members are one cluster that answers."""
        if (self.part / "member").is_dir():
            self.swap()
        elif not self.before_restore.exists():
            raise RecoverError("nothing was prepared on this host: run it from its start")
        self.must(["systemctl", "start", "--no-block", UNIT])
        if complaint := self.waited_for(count):
            raise RecoverError(
                f"etcd does not answer after {self.seconds:.0f} s: {complaint}. What was there before is in "
                f"{self.before_restore}; run it again, it goes on from what it finds"
            )

    def objects(self) -> dict[str, int]:
        """Objects by kind, as a majority knows them; empty where there is none."""
        code, output, _error = self.run([ETCDCTL, "--command-timeout=60s", "--dial-timeout=3s", *KEYS])
        return count_kinds(keys_of(output)) if code == 0 else {}
