# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything goes, nothing else does, and a reset that was killed is finished by the next."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._component import reset
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._component.host import ComponentError
from ansible_collections.selfhosted.kubernetes.tests.unit.plugins.module_utils._component.world import (
    KILLER,
    SYSTEMD,
    Killed,
    World,
    component,
    file,
)

LEAVES = {"paths": ["/var/lib/one", "/run/one-*"], "interfaces": ["one0"], "nft_tables": ["ip one", "ip6 one"]}


@pytest.fixture
def components(world: World) -> list[dict[str, Any]]:
    """Two, one of which makes things while it runs, and has a second unit."""
    world.other_unit("journal.service")
    helper = file(f"{SYSTEMD}/helper.service", "")
    other = file("/etc/journal/one.conf", "cap=1", restarts="journal.service")
    one = component("one", file("/etc/one/one.conf", "a=1"), helper, other, binaries=[world.binary("one", b"1")])
    return [{**one, "leaves": LEAVES, "directories": [*one["directories"], folder("/etc/one")]}, component("two")]


def folder(path: str) -> dict[str, str]:
    """A folder of root's."""
    return {"path": path, "owner": "root", "group": "root", "mode": "0755"}


@pytest.fixture
def used(world: World, components: list[dict[str, Any]]) -> World:
    """A host where they run, and where others left things, too."""
    for path in ("/usr/local/bin/theirs", "/etc/journal/theirs.conf"):
        world.write(path, b"theirs", 0o644, os.getuid(), os.getgid())
    world.apply(*components)
    for path in ("/var/lib/one/data/file", "/run/one-1/socket"):
        world.write(path, b"data", 0o644, os.getuid(), os.getgid())
    for path in ("/sys/class/net/one0", "/sys/class/net/eth0", "/tables/ip one", "/tables/ip theirs"):
        world.path(path).mkdir(parents=True)
    return world


def left(world: World) -> set[str]:
    """Files, and folders of interest."""
    found = {str(path.relative_to(world.root)) for path in world.root.rglob("*") if path.is_file()}
    return found | {path.name for name in ("sys/class/net", "tables") for path in world.path(name).iterdir()}


THEIRS = {
    "usr/local/bin/theirs",
    "etc/journal/theirs.conf",
    f"{SYSTEMD}/journal.service".lstrip("/"),
    "eth0",
    "ip theirs",
}


def test_everything_goes_and_comes_back(used: World, components: list[dict[str, Any]]) -> None:
    """What others have stays; afterwards the host is as good as new."""
    removed = reset.run(used, check=False)
    assert removed == [
        "unit helper.service",
        "unit one.service",
        "unit two.service",
        "interface one0",
        "nft table ip one",
        "/etc/journal/one.conf",
        "/etc/one/one.conf",
        f"{SYSTEMD}/helper.service",
        f"{SYSTEMD}/one.service",
        f"{SYSTEMD}/two.service",
        "/usr/local/bin/one",
        "/run/one-1",
        "/var/lib/one",
    ]
    assert left(used) == THEIRS
    assert not used.path("/etc/one").exists()
    assert {used.system[f"{name}.service"].state for name in ("one", "two", "helper")} <= {"inactive"}
    assert "systemctl restart journal.service" in used.calls
    assert reset.run(used, check=False) == []
    used.apply(*components)
    # Nothing starts this one here.
    assert used.system.pop("helper.service").state == "inactive"
    used.assert_converged(*components)


def test_instances_of_a_template(world: World) -> None:
    """All end, also those that nobody named; a template itself is no unit."""
    world.apply(component("one", file(f"{SYSTEMD}/one@.service", "")))
    world.other_unit("one@job.service")
    world.path(f"{SYSTEMD}/one@job.service").unlink()
    removed = reset.run(world, check=False)
    assert removed == ["unit one.service", f"{SYSTEMD}/one.service", f"{SYSTEMD}/one@.service"]
    assert world.system["one@job.service"].state == "inactive"


def test_check_mode_changes_nothing(used: World) -> None:
    """It says the same."""
    before = used.tree()
    predicted = reset.run(used, check=True)
    assert used.tree() == before
    assert {unit.state for unit in used.system.values()} == {"active"}
    assert predicted == reset.run(used, check=False)


def test_a_folder_with_files_of_others_stays(used: World) -> None:
    """Somebody keeps notes there."""
    used.write("/etc/one/notes", b"", 0o644, os.getuid(), os.getgid())
    reset.run(used, check=False)
    assert left(used) == {*THEIRS, "etc/one/notes"}


def test_a_host_without_components(world: World) -> None:
    """Nothing is touched, nothing is asked of systemd."""
    assert reset.run(world, check=False) == []
    assert world.calls == []


def test_a_first_start_that_never_ended_well(world: World) -> None:
    """What it wrote is known from its mark."""
    sick = {**component("one", file("/etc/one.conf", "sick")), "leaves": LEAVES}
    with pytest.raises(ComponentError):
        world.apply(sick)
    world.write("/var/lib/one/data", b"", 0o644, os.getuid(), os.getgid())
    reset.run(world, check=False)
    assert [path for path in world.root.rglob("*") if path.is_file()] == []


def test_killed_at_any_step(used: World, tmp_path: Path) -> None:
    """The next run ends as an undisturbed one does."""
    for step in count():
        world = used.copy(tmp_path / f"future{step}")
        try:
            with KILLER.before(world.root, step):
                reset.run(world, check=False)
        except Killed:
            reset.run(world, check=False)
            assert left(world) == THEIRS, step
        else:
            break
    assert step > 10


def test_processes_of_pods_and_programs(used: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of a program that was replaced while it ran; nobody else's."""
    running = {1: ("/sbin/init", "/"), 7: ("/usr/local/bin/one (deleted)", "/"), 8: ("/bin/sh", "/kubepods/pod1/2")}
    for pid, (program, group) in running.items():
        used.write(f"/proc/{pid}/cgroup", f"4:pids:{group}\n".encode(), 0o644, os.getuid(), os.getgid())
        used.path(f"/proc/{pid}/exe").symlink_to(program)
    killed = []

    def kill(pid: int, number: int) -> None:
        killed.append((pid, number))
        used.path(f"/proc/{pid}/cgroup").unlink()

    monkeypatch.setattr(used, "kill", kill)
    reset.run(used, check=False)
    assert sorted(killed) == [(7, 9), (8, 9)]


def test_a_unit_that_does_not_stop_is_killed(used: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while."""
    monkeypatch.setattr(reset, "STOP_SECONDS", 0.05)
    states = {"one.service": {"ActiveState": "deactivating"}, "two.service": {"ActiveState": "inactive"}}
    monkeypatch.setattr(used, "units", lambda _names: states)
    reset.stop(used, ["one.service", "two.service"])
    assert used.calls[-2:] == ["systemctl kill --signal=SIGKILL one.service", "systemctl stop one.service"]


def test_processes_that_do_not_end(used: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """They hang in the kernel; the error names them, and the records stay for the next run."""
    monkeypatch.setattr(reset, "KILL_SECONDS", 0.1)
    monkeypatch.setattr(reset, "processes", lambda *_: [7, 8])
    monkeypatch.setattr(used, "kill", lambda *_: None)
    with pytest.raises(ComponentError, match=r"processes 7, 8 do not end; restart the host and run again"):
        reset.run(used, check=False)
    assert reset.recorded(used)


def test_mounts_below_our_paths_are_unmounted(used: World) -> None:
    """The innermost first; others, and a disk that is mounted at the path itself, stay."""
    targets = ["/", "/var/lib/one", "/var/lib/one/a", "/var/lib/one/a/b\\040c", "/var/lib/onemore/x", "/run/one-7"]
    lines = "".join(f"{number} 1 0:1 / {target} rw - tmpfs x rw\n" for number, target in enumerate(targets))
    used.write("/proc/self/mountinfo", lines.encode(), 0o644, os.getuid(), os.getgid())
    reset.run(used, check=False)
    unmounted = [call.removeprefix("umount ") for call in used.calls if call.startswith("umount ")]
    assert unmounted == ["/var/lib/one/a/b c", "/var/lib/one/a", "/run/one-7"]
