# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parts of the storage break while a pod writes: no acknowledged byte is lost, and the longest stall is bounded."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest
from ansible_collections.selfhosted.kubernetes.tests.lab.support import (
    FOLDER,
    STORAGE,
    WORKERS,
    Lab,
    docker,
    wait_until,
)
from ansible_collections.selfhosted.kubernetes.tests.storage.support import (
    Writer,
    ceph,
    claim,
    during,
    healthy,
    start,
    volume_tester,
)

# Goals of stalls in seconds; what is not named here has the host's.
HOST, METADATA = 15.0, 10.0
PATIENCE, RECOVERS = 180.0, 300.0
TABLE = FOLDER / "storage.json"


def kill(lab: Lab, name: str, unit: str) -> None:
    """Without a word to anybody."""
    lab.run(name, f"systemctl kill --signal=KILL {unit}")


def serving(lab: Lab) -> str:
    """The host of the active metadata server."""
    info = ceph(lab, "fs dump")["filesystems"][0]["mdsmap"]["info"].values()
    return str(next(it["name"] for it in info if it["state"] == "up:active"))


def paused(name: str) -> None:
    """For 20 s, as a virtual machine that is moved."""
    docker("pause", name)
    time.sleep(20)
    docker("unpause", name)


FAULTS: dict[str, tuple[Callable[[Lab], object], Callable[[Lab], object] | None, float]] = {
    "an OSD is killed": (lambda lab: kill(lab, STORAGE[1], "ceph-osd@file0"), None, HOST),
    "a monitor is killed": (lambda lab: kill(lab, STORAGE[0], f"ceph-mon@{STORAGE[0]}"), None, HOST),
    "the metadata server is killed": (lambda lab: kill(lab, host := serving(lab), f"ceph-mds@{host}"), None, METADATA),
    "a storage host is shut down": (lambda _: docker("stop", STORAGE[2]), lambda _: docker("start", STORAGE[2]), HOST),
    "a storage host has no power": (lambda _: docker("kill", STORAGE[1]), lambda _: docker("start", STORAGE[1]), HOST),
    "a storage host stands still for 20 s": (lambda _: paused(STORAGE[0]), None, HOST),
}


@pytest.fixture(scope="module")
def writer(lab: Lab, namespace: str) -> Writer:
    """A pod that writes to a shared volume all the time."""
    lab.apply(claim("log", namespace, "shared", "256Mi"))
    writer = Writer(lab, "writer", namespace, WORKERS[0], "log")
    wait_until(lambda: writer.last > 20, 60, "it writes")
    return writer


@pytest.fixture(scope="module")
def figures() -> Iterator[dict[str, float]]:
    """The longest stall of each fault, written down."""
    figures: dict[str, float] = {}
    yield figures
    TABLE.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


@pytest.mark.parametrize("name", FAULTS)
def test_writers_wait_and_go_on(lab: Lab, writer: Writer, figures: dict[str, float], name: str) -> None:
    """Within the goal, by themselves; and all is well again afterwards."""
    wait_until(lambda: healthy(lab), RECOVERS, f"HEALTH_OK before {name}")
    fault, mend, goal = FAULTS[name]
    try:
        figures[name] = stall = round(during(writer, lambda: fault(lab), PATIENCE), 1)
    finally:
        if mend:
            mend(lab)
    print(f"\n{name}: longest stall {stall} s (goal {goal:.0f} s)")  # noqa: T201
    wait_until(lambda: healthy(lab), RECOVERS, f"HEALTH_OK after {name}")
    assert stall <= goal


def test_a_client_that_dies_comes_back(lab: Lab, namespace: str, writer: Writer, figures: dict[str, float]) -> None:
    """By itself; pods that had the file system open get errors until they are started again, and the writer ends."""
    start(lab, "open", namespace, WORKERS[0], "log")
    before = writer.last
    wait_until(lambda: writer.last > before, 60, "it writes")
    began = time.monotonic()
    kill(lab, WORKERS[0], "cephfs")
    mounted = "stat --file-system --format=%T /var/lib/cephfs | grep --quiet fuseblk"
    wait_until(lambda: bool(lab[WORKERS[0]].run(mounted).rc == 0), 120, "it is mounted again")
    figures["ceph-fuse is killed: until it is mounted again"] = round(time.monotonic() - began, 1)
    lab.kubectl(f"wait --namespace={namespace} --for=jsonpath=.status.phase=Failed --timeout=60s pod/writer")
    seen = lab.try_kubectl(f"exec --namespace={namespace} open -- /volume-tester logged /volume/log")
    assert seen.rc != 0
    assert "not connected" in seen.stderr
    lab.kubectl(f"delete --namespace={namespace} pod open")
    start(lab, "open", namespace, WORKERS[0], "log")
    assert volume_tester(lab, "open", namespace, "logged /volume/log")["last"] >= writer.last


def test_no_acknowledged_line_is_lost(lab: Lab, namespace: str, writer: Writer) -> None:
    """Another node reads all of them without a gap, up to the last one before its client died."""
    last = writer.last
    start(lab, "reader", namespace, WORKERS[1], "log")
    found = volume_tester(lab, "reader", namespace, "logged /volume/log")
    print(f"\n{last} acknowledged, {found['last']} found")  # noqa: T201
    assert found["last"] >= last > 0


def test_a_node_that_was_evicted_comes_back(
    lab: Lab, namespace: str, writer: Writer, figures: dict[str, float]
) -> None:
    """Once by itself, soon after that by cephfs-watch: what is written arrives again, and a new pod reads what was."""
    node, host = WORKERS[0], serving(lab)
    file = "/var/lib/cephfs/lab-evicted"
    writes = f"timeout 10 sh -c 'echo >{file} && sync {file} && rm {file}'"
    for times, restarts in (("once", False), ("again", True)):
        clients = json.loads(lab.run(host, f"ceph tell mds.{host} client ls 2>/dev/null"))
        # One that died may be listed for a while.
        client = max(it["id"] for it in clients if it["client_metadata"]["hostname"] == node)
        began, clock = time.monotonic(), lab.run(node, "date +%s").strip()
        lab.run(host, f"ceph tell mds.{host} client evict id={client}")
        said = f"journalctl --unit=%s --since=@{clock} --output=cat | grep --quiet %s"
        wait_until(lambda s=said: bool(lab[node].run(s % ("cephfs", "blocklisted")).rc == 0), 30, "it is told")  # type: ignore[misc]
        wait_until(lambda: bool(lab[node].run(writes).rc == 0), 60, "it is back")
        figures[f"a node is evicted {times}: until it writes again"] = round(time.monotonic() - began, 1)
        assert (lab[node].run(said % ("cephfs-watch", "evicted")).rc == 0) is restarts
    lab.kubectl(f"delete --namespace={namespace} pod open --ignore-not-found")
    start(lab, "evicted", namespace, node, "log")
    assert volume_tester(lab, "evicted", namespace, "logged /volume/log")["last"] >= writer.last
