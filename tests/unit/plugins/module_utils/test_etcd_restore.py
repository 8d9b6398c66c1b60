# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every member back to a snapshot, with etcd of a file; also when hosts are killed at any step."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._etcd_recover import RecoverError
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._etcd_restore import Restoration
from ansible_collections.selfhosted.kubernetes.tests.unit.plugins.module_utils import test_etcd_recover as single
from ansible_collections.selfhosted.kubernetes.tests.unit.plugins.module_utils._component.world import KILLER, Killed

OURS, THEIRS, SNAPSHOT = single.OURS, single.THEIRS, single.SNAPSHOT
MEMBERS = [f"m{number}=https://10.0.0.{number}:2380" for number in (1, 2, 3)]
RESTORED = "restored, of the snapshot"
quick = single.quick


class World(single.World):
    """A host m1 with a member of three, whose others do what it does."""

    restored_members, restored_token, restored = ",".join(MEMBERS), "restore-1", RESTORED

    def etcdctl(self, words: list[str]) -> single.Answer:
        """The cluster answers where its etcd runs."""
        if "etcd.service" not in self.units:
            return 1, "", "{a log}\nError: context deadline exceeded"
        if "get" in words:
            return 0, "/registry/pods/shop/web\n\n/registry/namespaces/shop\n", ""
        return 0, json.dumps({"members": [{"ID": number} for number in range(3)]}), ""

    @property
    def restoration(self) -> Restoration:
        """The module's."""
        return Restoration(self.run, 0.01, str(self.root))

    def restore(self) -> None:
        """All that the playbook does with this host."""
        self.restoration.prepare(SNAPSHOT, OURS, MEMBERS, "restore-1")
        KILLER.step("stop")
        self.units.discard("etcd.service")
        self.restoration.start(3)
        self.restoration.finish(check=False)


@pytest.fixture
def new_world(tmp_path: Path) -> Callable[[], World]:
    """Makes a world in which etcd runs."""
    numbers = count()

    def make() -> World:
        world = World(tmp_path / f"world-{next(numbers)}")
        world.units.add("etcd.service")
        return world

    return make


def test_while_it_is_prepared_everything_runs(new_world: Callable[[], World]) -> None:
    """Then it is swapped, and what was there is kept until the end."""
    world = new_world()
    world.restoration.prepare(SNAPSHOT, OURS, MEMBERS, "restore-1")
    assert (world.data, world.units) == ("three, with all", {"etcd.service"})
    assert world.restoration.objects() == {"namespaces": 1, "pods": 1}
    world.units.clear()
    assert world.restoration.objects() == {}
    world.restoration.start(3)
    kept = world.member.parent / "before-restore/snap/db"
    assert kept.read_bytes().startswith(b"three, with all")
    world.restoration.finish(check=False)
    world.assert_done(RESTORED)


def test_killed_anywhere_it_completes(new_world: Callable[[], World]) -> None:
    """From its beginning, with what the killed one left."""
    for step in count():
        world = new_world()
        with KILLER.before(world.root, step) as steps:
            try:
                world.restore()
            except Killed:
                pass
            else:
                break
        world.restore()
        world.assert_done(RESTORED)
    assert len(steps) > 8


def test_what_was_there_first_is_kept(new_world: Callable[[], World]) -> None:
    """Not what a run that was given up made of it."""
    world = new_world()
    world.restoration.prepare(SNAPSHOT, OURS, MEMBERS, "restore-1")
    world.restoration.start(3)
    world.restoration.prepare(SNAPSHOT, OURS, MEMBERS, "restore-1")
    world.restoration.start(3)
    assert (world.member.parent / "before-restore/snap/db").read_bytes().startswith(b"three, with all")


def test_refused_before_anything_is_changed(new_world: Callable[[], World]) -> None:
    """Damaged, of another cluster, or for other hosts."""
    world = new_world()
    with pytest.raises(RecoverError, match="m1 is none of the members m2=https"):
        world.restoration.prepare(SNAPSHOT, OURS, MEMBERS[1:], "restore-1")
    with pytest.raises(RecoverError, match="the snapshot is of another cluster"):
        world.restoration.prepare(SNAPSHOT, THEIRS, MEMBERS, "restore-1")
    world.damaged = True
    with pytest.raises(RecoverError, match="cannot be restored, and nothing was changed"):
        world.restoration.prepare(SNAPSHOT, OURS, MEMBERS, "restore-1")
    with pytest.raises(RecoverError, match="nothing was prepared on this host"):
        world.restoration.start(3)
    world.assert_done("three, with all")


def test_the_others_do_not_come(new_world: Callable[[], World]) -> None:
    """It is said where the old data is."""
    world = new_world()
    world.restoration.prepare(SNAPSHOT, OURS, MEMBERS, "restore-1")
    with pytest.raises(RecoverError, match=r"it has 3 members, not 5\. What was there before is in .*before-restore"):
        world.restoration.start(5)
