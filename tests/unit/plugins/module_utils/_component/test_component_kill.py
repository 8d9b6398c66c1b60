# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A run killed before each of its steps, generated: the next run finishes, or goes back to what ran well last."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
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
Futures = Callable[[list[Wish], Wish], Iterator[tuple[str, World]]]


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
            first_start=["join", "alpha.service"],
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


@pytest.fixture
def futures(new_world: Callable[[], World]) -> Futures:
    """Worlds in which some wishes came true, each killed before another step of the next wish."""

    def killed(done: list[Wish], wish: Wish) -> Iterator[tuple[str, World]]:
        start = new_world()
        start.other_unit("journal.service", "/etc/journal.conf")
        for earlier in done:
            start.apply(*earlier(start))
            start.assert_converged(*earlier(start))
        whole = start.copy(new_world().root)
        with KILLER.before(whole.root) as steps, suppress(ComponentError):
            whole.apply(*wish(whole))
        assert len(steps) > 40
        for number, step in enumerate(list(steps)):
            world = start.copy(new_world().root)
            with KILLER.before(world.root, number), pytest.raises(Killed):
                world.apply(*wish(world))
            yield f"killed before step {number}: {step}", world

    return killed


@pytest.mark.parametrize("done", [[], [first]], ids=["first install", "change"])
def test_next_run_finishes(futures: Futures, done: list[Wish]) -> None:
    """It ends where a run ends that nobody killed, and then there is nothing left to do."""
    wish = changed if done else first
    for step, world in futures(done, wish):
        world.apply(*wish(world))
        with explained(step):
            world.assert_converged(*wish(world))
            assert not world.apply(*wish(world))["changed"]
            assert world.text("/etc/old") == (None if done else "x")


def test_killed_rollback_still_goes_back_to_the_last_healthy_state(futures: Futures) -> None:
    """Whatever the killed run left, the next one with the same bad wish ends with what ran before it."""
    for step, world in futures([first], sick):
        with explained(step):
            with pytest.raises(ComponentError, match="rolled back to what ran before and is healthy again"):
                world.apply(*sick(world))
            assert world.text("/etc/alpha.conf") == "v1"
            assert world.text("/usr/local/bin/alpha") == "v1"
            assert world.text("/etc/old") == "x"
            assert world.system["alpha.service"].running["/etc/alpha.conf"] == b"v1"
            assert world.system["alpha.service"].loaded == first(world)[0]["unit"]["content"]


def test_good_wish_after_a_killed_bad_one(futures: Futures) -> None:
    """The operator saw the mistake before the second run."""
    for step, world in futures([first], sick):
        world.apply(*changed(world))
        with explained(step):
            world.assert_converged(*changed(world))
            assert not world.apply(*changed(world))["changed"]


@contextmanager
def explained(step: str) -> Iterator[None]:
    """Say at which step it went wrong."""
    try:
        yield
    except AssertionError as error:
        error.add_note(step)
        raise
