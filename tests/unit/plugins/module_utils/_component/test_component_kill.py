# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run killed before each of its steps, generated: the next run finishes, or goes back to what ran well last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._component.host import ComponentError
from ansible_collections.selfhosted.kubernetes.tests.unit.plugins.module_utils._component.world import (
    KILLER,
    Killed,
    World,
    component,
    file,
)

Wish = Callable[[World], list[dict[str, Any]]]


def first(world: World) -> list[dict[str, Any]]:
    """Two components that share a file; one has a file that another unit reads."""
    shared = file("/etc/shared/ca.crt", "one")
    return [
        component(
            "alpha",
            file("/etc/alpha.conf", "v1"),
            shared,
            file("/etc/old", "x"),
            binaries=[world.binary("alpha", b"v1")],
        ),
        component(
            "beta",
            file("/etc/beta.conf", "v1"),
            shared,
            file("/etc/beta.key", "k1", secret=True, mode="0600"),
            file("/etc/journal.conf", "v1", restarts="journal.service"),
            packages=["good"],
        ),
    ]


def changed(world: World) -> list[dict[str, Any]]:
    """Everything of them is different, and one file is gone."""
    shared = file("/etc/shared/ca.crt", "two")
    return [
        component("alpha", file("/etc/alpha.conf", "v2"), shared, flag="new", binaries=[world.binary("alpha", b"v2")]),
        component(
            "beta",
            file("/etc/beta.conf", "v1"),
            shared,
            file("/etc/beta.key", "k2", secret=True, mode="0600"),
            file("/etc/journal.conf", "v2", restarts="journal.service"),
            file("/etc/new", "n", mode="0600"),
            packages=["good"],
        ),
    ]


def sick(world: World) -> list[dict[str, Any]]:
    """As changed, but the first one will not get healthy."""
    alpha, beta = changed(world)
    return [component("alpha", file("/etc/alpha.conf", "sick"), alpha["files"][1], binaries=alpha["binaries"]), beta]


def before(make: Callable[[], World], *wishes: Wish) -> World:
    """A world in which some wishes came true."""
    world = make()
    world.other_unit("journal.service", "/etc/journal.conf")
    for wish in wishes:
        world.apply(*wish(world))
        world.assert_converged(*wish(world))
    return world


def count(make: Callable[[], World], done: list[Wish], wish: Wish) -> list[str]:
    """The steps of a run."""
    world = before(make, *done)
    with KILLER.before(world.root) as steps:
        try:
            world.apply(*wish(world))
        except ComponentError:
            assert wish is sick
    return list(steps)


@pytest.mark.parametrize("done", [[], [first]], ids=["first install", "change"])
def test_next_run_finishes(new_world: Callable[[], World], done: list[Wish]) -> None:
    """Also: it says that it changed something as long as the killed run had not finished, and then no more."""
    wish = changed if done else first
    steps = count(new_world, done, wish)
    assert len(steps) > 40
    for number, step in enumerate(steps):
        world = before(new_world, *done)
        with KILLER.before(world.root, number), pytest.raises(Killed):
            world.apply(*wish(world))
        world.apply(*wish(world))
        try:
            world.assert_converged(*wish(world))
            assert not world.apply(*wish(world))["changed"]
        except AssertionError as error:
            error.add_note(f"killed before step {number}: {step}")
            raise
        if done:
            assert world.text("/etc/old") is None


def test_rollback_that_was_killed_still_goes_back_to_the_last_healthy_state(new_world: Callable[[], World]) -> None:
    """Whatever the killed run left, the next one with the same bad wish ends with what ran before it."""
    steps = count(new_world, [first], sick)
    for number, step in enumerate(steps):
        world = before(new_world, first)
        with KILLER.before(world.root, number), pytest.raises(Killed):
            world.apply(*sick(world))
        with pytest.raises(ComponentError, match="rolled back to what ran before and is healthy again"):
            world.apply(*sick(world))
        alpha = first(world)[0]
        try:
            assert world.text("/etc/alpha.conf") == "v1"
            assert world.text("/usr/local/bin/alpha") == "v1"
            assert world.text("/etc/old") == "x"
            assert world.system["alpha.service"].running["/etc/alpha.conf"] == b"v1"
            assert world.system["alpha.service"].loaded == alpha["unit"]["content"]
            # And from here a good wish comes true.
            world.apply(*changed(world))
            world.assert_converged(*changed(world))
        except AssertionError as error:
            error.add_note(f"killed before step {number}: {step}")
            raise


def test_good_wish_after_a_killed_bad_one(new_world: Callable[[], World]) -> None:
    """The operator saw the mistake before the second run."""
    for number in range(len(count(new_world, [first], sick))):
        world = before(new_world, first)
        with KILLER.before(world.root, number), pytest.raises(Killed):
            world.apply(*sick(world))
        world.apply(*changed(world))
        world.assert_converged(*changed(world))
        assert not world.apply(*changed(world))["changed"]
