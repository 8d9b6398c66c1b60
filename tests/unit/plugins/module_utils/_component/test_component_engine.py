# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run changes, says and puts back."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._component import binaries
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._component.host import STATE_DIR, ComponentError
from ansible_collections.selfhosted.kubernetes.tests.unit.plugins.module_utils._component.world import (
    World,
    component,
    file,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CONF = "/etc/toy.conf"
PROGRAM = "/usr/local/bin/toy"


def toy(
    world: World, text: str = "hello", *more: dict[str, Any], program: bytes = b"one", **other: Any
) -> dict[str, Any]:
    """A component of one file and one program."""
    return component("toy", file(CONF, text), *more, binaries=[world.binary("toy", program)], **other)


def actions(result: dict[str, Any], name: str = "toy") -> list[str]:
    """What was done to one component."""
    found: list[str] = result["components"][name]["actions"]
    return found


def changes(world: World) -> list[str]:
    """Calls since the last time that change something."""
    calls = [call for call in world.calls if not call.startswith(("systemctl show", "check", "journalctl"))]
    world.calls.clear()
    return calls


# ---- first start
def test_first_start_says_each_step(world: World) -> None:
    """From nothing to a running service."""
    spec = toy(world, packages=["good"])
    result = world.apply(spec)
    world.assert_converged(spec)
    assert actions(result) == [
        "install package good",
        "create user toy",
        "create or correct folder /var/lib/toy",
        f"create {CONF}",
        "create /etc/systemd/system/toy.service",
        f"create {PROGRAM}",
        "enable toy.service",
        f"start toy.service ({CONF}, /etc/systemd/system/toy.service, {PROGRAM}, not running)",
    ]
    assert world.path(PROGRAM).stat().st_mode & 0o777 == 0o755
    assert world.path("/var/lib/toy").stat().st_mode & 0o777 == 0o700


def test_where_packages_come_from_is_written_first(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before they are installed; another version is installed and started."""
    sources = {**file("/etc/apt/sources.list.d/toy.sources", "deb", restarts=""), "before_packages": True}
    seen: list[str | None] = []

    def install(names: Sequence[str]) -> None:
        seen.append(world.text(sources["dest"]))
        World.install_packages(world, names)

    monkeypatch.setattr(world, "install_packages", install)
    world.apply(toy(world, "hello", sources, packages=["toy=1"]))
    assert seen == ["deb"]
    changes(world)
    spec = toy(world, "hello", {**sources, "bytes": b"other"}, packages=["toy=2"])
    result = world.apply(spec)
    assert seen == ["deb", "other"]
    assert actions(result) == [
        "install package toy=2",
        f"change {sources['dest']}",
        "restart toy.service (package toy=2)",
    ]
    assert [call for call in changes(world) if call.startswith("systemctl st")] == [
        "systemctl stop toy.service",
        "systemctl start --no-block toy.service",
    ]
    world.assert_converged(spec)
    assert world.apply(spec)["changed"] is False


def test_first_start_is_together(world: World) -> None:
    """One call of systemctl each for all units: they wait for each other."""
    specs = [component(name, file(f"/etc/{name}.conf", "x")) for name in ("a", "b", "c")]
    world.apply(*specs)
    units = "a.service b.service c.service"
    assert changes(world) == [
        "systemctl daemon-reload",
        f"systemctl enable --quiet {units}",
        f"systemctl stop {units}",
        f"systemctl reset-failed {units}",
        f"systemctl start --no-block {units}",
    ]


def test_first_start_by_a_command_of_its_own(world: World) -> None:
    """It starts its unit, before the others; later starts are systemd's."""
    specs = [toy(world, first_start=["join", "toy.service"]), component("b", file("/etc/b.conf", "x"))]
    world.apply(*specs)
    world.assert_converged(*specs)
    assert changes(world)[-5:] == [
        "systemctl stop toy.service",
        "join toy.service",
        "systemctl stop b.service",
        "systemctl reset-failed b.service",
        "systemctl start --no-block b.service",
    ]
    world.apply(toy(world, "bye", first_start=["join", "toy.service"]))
    assert "join toy.service" not in changes(world)


def test_first_start_that_the_command_refuses(world: World) -> None:
    """In its own words; nothing was started, and the next run asks it again."""
    other = component("b", file("/etc/b.conf", "x"))
    with pytest.raises(ComponentError, match=r"^toy was not started: nobody answers$"):
        world.apply(toy(world, first_start=["join", "toy.service", "nobody answers"]), other)
    assert {unit.state for unit in world.system.values()} == {"inactive"}
    world.apply(toy(world, first_start=["join", "toy.service"]), other)
    assert "join toy.service" in changes(world)
    world.assert_converged(toy(world), other)


def test_first_start_that_fails_leaves_its_files_and_names_every_sick_one(world: World) -> None:
    """There is nothing to go back to; who starts well is done."""
    specs = [
        component(name, file(f"/etc/{name}.conf", text)) for name, text in (("a", "sick"), ("b", "ok"), ("c", "crash"))
    ]
    with pytest.raises(ComponentError) as caught:
        world.apply(*specs)
    assert "a does not get healthy: `check a.service` ended with 1: it feels sick. It is its first start" in str(
        caught.value
    )
    assert "last words of a.service" in str(caught.value)
    assert "c does not get healthy: c.service failed" in str(caught.value)
    assert "b does not" not in str(caught.value)
    assert world.text("/etc/a.conf") == "sick"
    again = [component(name, file(f"/etc/{name}.conf", "ok")) for name in ("a", "b", "c")]
    assert [actions(world.apply(*again), name) == [] for name in ("b",)] == [True]
    world.assert_converged(*again)


def test_first_start_waits_for_all_at_once(world: World) -> None:
    """Whoever is sick takes its own time, not that of all before it; the last one is asked all the same."""
    patient = {"timeout_seconds": 0.4}
    specs = [
        component(name, file(f"/etc/{name}.conf", text), health={"command": ["check", f"{name}.service"], **patient})
        for name, text in (*((name, "sick") for name in "abcdefg"), ("h", "ok"))
    ]
    began = time.monotonic()
    with pytest.raises(ComponentError, match="g does not get healthy") as caught:
        world.apply(*specs)
    assert 0.4 <= time.monotonic() - began < 2 * 0.4
    assert "h does not" not in str(caught.value)


# ---- nothing to do
def test_unchanged_costs_one_systemctl_and_no_hashing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing on the host is touched."""
    specs = [toy(world), component("b", file("/etc/b.conf", "x"))]
    world.apply(*specs)
    world.calls.clear()
    before = world.tree()
    monkeypatch.setattr(binaries, "file_digest", lambda _path: pytest.fail("a program was read"))
    assert not world.apply(*specs)["changed"]
    assert sorted(world.calls)[:2] == ["check b.service", "check toy.service"]
    assert [call.split()[:2] for call in world.calls if call.startswith("systemctl")] == [["systemctl", "show"]]
    assert world.tree() == before


def test_touched_program_is_read_once(world: World) -> None:
    """It is the same, so nothing happens, and the next run need not read it."""
    world.apply(toy(world))
    os.utime(world.path(PROGRAM))
    assert not world.apply(toy(world))["changed"]
    state = world.load("components/toy.json") or {}
    assert state["binaries"][PROGRAM]["signature"] == binaries.signature(world, PROGRAM)


def test_lost_record_is_written_again(world: World) -> None:
    """A host whose state folder was emptied runs on."""
    world.apply(toy(world))
    world.remove(f"{STATE_DIR}/components/toy.json")
    world.calls.clear()
    assert not world.apply(toy(world))["changed"]
    assert changes(world) == []
    assert world.load("components/toy.json")


# ---- changes and drift, each one change
UNIT = "/etc/systemd/system/toy.service"


@pytest.mark.parametrize(
    ("drift", "expected"),
    [
        (lambda world: world.path(CONF).write_text("hellO"), [f"change {CONF}", f"restart toy.service ({CONF})"]),
        (lambda world: world.path(CONF).unlink(), [f"create {CONF}", f"restart toy.service ({CONF})"]),
        (lambda world: world.path(CONF).chmod(0o666), [f"set mode and owner of {CONF}"]),
        (lambda world: world.path(UNIT).write_text("Flag=2\n"), [f"change {UNIT}", f"restart toy.service ({UNIT})"]),
        (
            lambda world: world.path(PROGRAM).write_bytes(b"virus"),
            [f"change {PROGRAM}", f"restart toy.service ({PROGRAM})"],
        ),
        (lambda world: world.systemctl("stop", "toy.service"), ["start toy.service (not running)"]),
        (
            lambda world: world.system["toy.service"].running.update({CONF: b"sick"}),
            ["restart toy.service (not healthy: `check toy.service` ended with 1: it feels sick)"],
        ),
        (lambda world: setattr(world.system["toy.service"], "enabled", False), ["enable toy.service"]),
        (lambda world: world.path("/var/lib/toy").chmod(0o777), ["create or correct folder /var/lib/toy"]),
        (lambda world: world.users.discard("toy"), ["create user toy", "create or correct folder /var/lib/toy"]),
    ],
    ids=["byte", "gone", "mode", "unit", "program", "stopped", "unhealthy", "disabled", "folder", "user"],
)
def test_drift_is_one_change(world: World, drift: Any, expected: list[str]) -> None:
    """Said before by check mode, repaired, and then gone."""
    world.apply(toy(world))
    drift(world)
    assert actions(world.apply(toy(world), check=True)) == expected
    assert actions(world.apply(toy(world))) == expected
    world.assert_converged(toy(world))
    assert not world.apply(toy(world))["changed"]


def test_what_is_restarted_anyway_is_not_asked_before(world: World) -> None:
    """It may be unhealthy for just what changes, and would take all of the grace."""
    world.apply(toy(world))
    world.system["toy.service"].running[CONF] = b"sick"
    world.calls.clear()
    assert actions(world.apply(toy(world, "new"), check=True)) == [f"change {CONF}", f"restart toy.service ({CONF})"]
    assert [call for call in world.calls if call.startswith("check")] == []
    world.apply(toy(world, "new"))
    world.assert_converged(toy(world, "new"))


def test_file_of_two_components_restarts_both(world: World) -> None:
    """The second one, too, although the first one wrote the file already."""
    specs = [component(name, file("/etc/ca.crt", "1")) for name in ("a", "b")]
    world.apply(*specs)
    specs = [component(name, file("/etc/ca.crt", "2")) for name in ("a", "b")]
    result = world.apply(*specs)
    assert [actions(result, name)[-1] for name in ("a", "b")] == [
        f"restart {name}.service (/etc/ca.crt)" for name in ("a", "b")
    ]
    world.assert_converged(*specs)


def test_reload_is_enough_for_a_file_but_not_for_the_unit(world: World) -> None:
    """Reloading keeps connections; another program or flag needs a new process."""

    def spec(text: str, flag: str = "") -> dict[str, Any]:
        wanted = toy(world, text, flag=flag)
        wanted["unit"]["reload"] = True
        return wanted

    world.apply(spec("1"))
    assert actions(world.apply(spec("2")))[-1] == f"reload toy.service ({CONF})"
    assert changes(world)[-1] == "systemctl reload toy.service"
    assert actions(world.apply(spec("2", flag="new")))[-1] == f"restart toy.service ({UNIT})"
    world.assert_converged(spec("2", flag="new"))


def test_file_of_another_unit_restarts_that_one_only(world: World) -> None:
    """And a file that restarts nothing restarts nothing."""
    world.other_unit("journal.service", "/etc/journal.conf")
    extra = (file("/etc/journal.conf", "1", restarts="journal.service"), file("/etc/motd", "1", restarts=""))
    world.apply(toy(world, "hello", *extra))
    changes(world)
    extra = (file("/etc/journal.conf", "2", restarts="journal.service"), file("/etc/motd", "2", restarts=""))
    result = world.apply(toy(world, "hello", *extra))
    assert actions(result) == ["change /etc/journal.conf", "change /etc/motd", "restart journal.service"]
    assert changes(world) == ["systemctl restart journal.service"]
    world.assert_converged(toy(world, "hello", *extra))


def test_missing_package_is_installed_and_present_ones_cost_nothing(world: World) -> None:
    """One call for all components, and none when they are there."""
    specs = [component("a", packages=["good", "x"]), component("b", packages=["good"])]
    assert "install package good" in actions(world.apply(*specs), "b")
    assert [call for call in changes(world) if call.startswith("install")] == ["install good x"]
    world.apply(*specs)
    assert changes(world) == []


# ---- stale files
def test_file_no_longer_listed_is_removed(world: World) -> None:
    """The service is restarted without it."""
    world.apply(toy(world, "hello", file("/etc/old", "x")))
    result = world.apply(toy(world))
    assert "remove /etc/old" in actions(result)
    assert world.text("/etc/old") is None
    world.assert_converged(toy(world))


def test_file_of_another_component_is_kept(world: World) -> None:
    """Also when that component is not part of the call."""
    world.apply(toy(world, "hello", file("/etc/ca.crt", "1")), component("b", file("/etc/ca.crt", "1")))
    result = world.apply(toy(world))
    assert not [line for line in actions(result) if line.startswith("remove")]
    assert world.text("/etc/ca.crt") == "1"


def test_removed_secret_is_not_shown(world: World) -> None:
    """Neither by its new record nor by one of an older version that does not know."""
    for old_record in (False, True):
        world.apply(toy(world, "hello", file("/etc/key", "hunter2", secret=True)))
        if old_record:
            state = world.load("components/toy.json") or {}
            world.save("components/toy.json", {**state, "files": {path: {} for path in state["files"]}})
        result = world.apply(toy(world))
        assert "remove /etc/key" in actions(result)
        assert "hunter2" not in json.dumps(result)


# ---- secrets
@pytest.mark.parametrize("now_secret", [True, False])
def test_secrets_are_masked(world: World, now_secret: bool) -> None:
    """What is or was a secret shows in no result."""
    key = file("/etc/key", "hunter2", secret=True, mode="0600")
    assert "hunter2" not in json.dumps(world.apply(toy(world, "hello", key), check=True))
    assert "hunter2" not in json.dumps(world.apply(toy(world, "hello", key)))
    result = world.apply(toy(world, "hello", file("/etc/key", "hunter3", secret=now_secret, mode="0600")))
    assert "hunter" not in json.dumps(result)
    assert result["diff"][0]["before"] == "(secret: content differs)\n"


def test_text_and_program_diffs(world: World) -> None:
    """Text as it is, a program by its digest."""
    world.apply(toy(world))
    diff = {entry["after_header"]: entry for entry in world.apply(toy(world, "bye", program=b"two"))["diff"]}
    assert (diff[CONF]["before"], diff[CONF]["after"]) == ("hello", "bye")
    assert diff[PROGRAM]["after"].startswith("(binary toy, sha256 ")


# ---- rolling
def test_rolling_component_that_would_restart_defers_the_whole_host(world: World) -> None:
    """Nothing is changed, also not of the others."""
    specs = [toy(world, rolling=True), component("b", file("/etc/b.conf", "1"))]
    world.apply(*specs, rolling=True)
    specs = [toy(world, "new", rolling=True), component("b", file("/etc/b.conf", "2"))]
    before = world.tree()
    changes(world)
    result = world.apply(*specs, rolling=True)
    assert (result["changed"], result["deferred"], result["diff"]) == (False, True, [])
    assert world.tree() == before
    assert changes(world) == []
    result = world.apply(*specs)
    assert (result["changed"], result["deferred"]) == (True, False)
    world.assert_converged(*specs)


@pytest.mark.parametrize("case", ["first start", "stopped", "no restart"])
def test_rolling_defers_only_what_interrupts(world: World, case: str) -> None:
    """A first start, a dead service and a change without a restart need not wait."""
    spec = toy(world, rolling=True)
    if case != "first start":
        world.apply(spec)
    if case == "stopped":
        world.systemctl("stop", "toy.service")
    if case == "no restart":
        world.path(CONF).chmod(0o600)
    result = world.apply(spec, rolling=True)
    assert (result["changed"], result["deferred"]) == (True, False)
    world.assert_converged(spec)


# ---- rollback
@pytest.mark.parametrize("bad", ["sick", "crash"])
def test_bad_change_is_rolled_back(world: World, bad: str) -> None:
    """Files, program and unit are as before, and the error has the journal's last lines."""
    good = toy(world, "hello", file("/etc/old", "x", mode="0640"))
    world.apply(good)
    signature = binaries.signature(world, PROGRAM)
    with pytest.raises(ComponentError) as caught:
        world.apply(toy(world, bad, file("/etc/new", "n"), program=b"two", flag="new"))
    assert str(caught.value).startswith("toy does not get healthy: ")
    assert "It was rolled back to what ran before and is healthy again." in str(caught.value)
    assert str(caught.value).endswith("Last lines of its journal:\nlast words of toy.service")
    assert world.text("/etc/new") is None
    world.assert_converged(good)
    # The old program is the same file, so that nobody needs to read it again.
    assert binaries.signature(world, PROGRAM) == signature
    assert not world.apply(good)["changed"]


def test_later_components_are_left_alone_after_a_failure(world: World) -> None:
    """One after another: the first that fails ends the run."""
    world.apply(toy(world), component("b", file("/etc/b.conf", "1")))
    with pytest.raises(ComponentError):
        world.apply(toy(world, "sick"), component("b", file("/etc/b.conf", "2")))
    assert world.text("/etc/b.conf") == "1"
    world.assert_tidy()


def test_rollback_without_success_says_so_and_the_next_run_repairs(world: World) -> None:
    """The old files are back, but the host itself is broken."""
    world.apply(toy(world))
    world.path(CONF).write_text("sick by hand")
    with pytest.raises(ComponentError, match="rolled back, but is not healthy with its old files either"):
        world.apply(toy(world, "sick"))
    result = world.apply(toy(world))
    assert actions(result)[-1] == f"restart toy.service ({CONF}, an earlier run was interrupted)"
    world.assert_converged(toy(world))


def test_full_disk_while_writing_is_rolled_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is the disk's, and no part of a file is left."""
    world.apply(toy(world))

    def full(number: int) -> None:
        if CONF in os.readlink(f"/proc/self/fd/{number}").replace("/.toy.conf.new", CONF[4:]):
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(ComponentError, match=r"toy cannot be changed: .*No space left"):
            world.apply(toy(world, "new"))
    world.apply(toy(world))
    world.assert_converged(toy(world))


def test_unknown_owner_is_named(world: World) -> None:
    """What to do is said, and the component runs on."""
    world.apply(toy(world))
    wrong = {**file("/etc/x", "x"), "owner": "nobody-here"}
    with pytest.raises(ComponentError, match="user `nobody-here` or group `root` does not exist"):
        world.apply(toy(world, "hello", wrong))
    world.assert_converged(toy(world))


# ---- check mode predicts what a run does
def wishes() -> st.SearchStrategy[dict[str, Any]]:
    """Any state of two components with files of every kind."""
    text = st.sampled_from(["1", "2", None])
    return st.fixed_dictionaries(
        {"a": text, "b": text, "shared": text, "key": text, "quiet": text, "journal": text}
        | {"flag": st.sampled_from("xy"), "program": st.sampled_from([b"1", b"2"]), "package": st.booleans()}
        | {
            "mode": st.sampled_from(["0644", "0600"]),
            "drift": st.sampled_from(["", "stop", "edit", "chmod", "disable"]),
        }
    )


def specs_of(world: World, wish: dict[str, Any]) -> list[dict[str, Any]]:
    """The components of a wish."""
    kinds: dict[str, dict[str, Any]] = {
        "key": {"secret": True},
        "quiet": {"restarts": ""},
        "journal": {"restarts": "journal.service"},
    }
    files = {
        name: [file(f"/etc/{name}", wish[name], mode=wish["mode"], **kinds.get(name, {}))] if wish[name] else []
        for name in ("a", "b", "shared", "key", "quiet", "journal")
    }
    packages = ["good"] if wish["package"] else []
    return [
        component("a", *files["a"], *files["shared"], *files["key"], flag=wish["flag"], packages=packages),
        component(
            "b",
            *files["b"],
            *files["shared"],
            *files["quiet"],
            *files["journal"],
            binaries=[world.binary("b", wish["program"])],
        ),
    ]


def drift(world: World, what: str) -> None:
    """Somebody was at the host."""
    if what == "stop":
        world.systemctl("stop", "a.service")
    elif what == "disable":
        world.system["b.service"].enabled = False
    elif what:
        for path in world.path("/etc").iterdir():
            if path.is_file():
                path.chmod(0o600 if what == "chmod" else path.stat().st_mode)
                path.write_text("other" if what == "edit" else path.read_text())


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wishes(), wishes())
def test_check_mode_predicts_apply_from_anywhere_to_anywhere(
    world: World, one: dict[str, Any], two: dict[str, Any]
) -> None:
    """Check mode says the same as the run after it and changes nothing; the run converges; a second one is idle."""
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        world.other_unit("journal.service", "/etc/journal")
        world.apply(*specs_of(world, one))
        drift(world, one["drift"])
        wanted = specs_of(world, two)
        before = world.tree()
        changes(world)
        predicted = world.apply(*wanted, check=True)
        assert world.tree() == before
        assert changes(world) == []
        assert world.apply(*wanted) == predicted
        world.assert_converged(*wanted)
        assert not world.apply(*wanted)["changed"]
