# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two of three masters are lost for good: what is refused, and the ways back."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from ansible_collections.selfhosted.kubernetes.tests.lab.load import Load
from ansible_collections.selfhosted.kubernetes.tests.lab.support import (
    FOLDER,
    LOCAL_ETCDCTL,
    MASTERS,
    NODES,
    Lab,
    docker,
)
from ansible_collections.selfhosted.kubernetes.tests.scale.machines import (
    Figures,
    lose,
    make_machines,
    play,
    site_run,
    voters,
)

LEFT, *LOST = MASTERS
CONFIRM = "recover_confirm=lab"
UID = FOLDER / "state/cluster-uid"


def recover(*variables: str, host: str = LEFT) -> tuple[int, str, float]:
    """Run the playbook: exit code, output, seconds."""
    began = time.monotonic()
    code, output = play("recover_quorum", f"recover_from={host}", CONFIRM, *variables)
    return code, output, time.monotonic() - began


def begin_again(lab: Lab, tmp_path: Path) -> float:
    """Empty machines take the lost ones' places, and join by a site run: its seconds."""
    make_machines()
    run = site_run(tmp_path)
    assert voters(lab) == set(MASTERS)
    lab.kubectl(f"wait --for=condition=Ready --timeout=60s node {' '.join(NODES)}")
    assert lab.run(LEFT, "ls /var/lib/etcd").split() == ["member"]
    return float(run.figures["seconds"])


@pytest.fixture(scope="module")
def snapshot(lab: Lab, users: Load, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, set[int]]:
    """A snapshot on the control node, and the writes that were acknowledged before it."""
    acknowledged = users.answers("writer").acknowledged
    lab.run(LEFT, f"{LOCAL_ETCDCTL} snapshot save /var/tmp/etcd.db")
    path = tmp_path_factory.mktemp("snapshot") / "etcd.db"
    docker("cp", f"{LEFT}:/var/tmp/etcd.db", str(path))
    return path, acknowledged


def test_with_a_majority_there_is_nothing_to_recover(lab: Lab, snapshot: tuple[Path, set[int]]) -> None:
    """Neither while other members run, nor while they are only stopped: they may come back."""
    code, output, _seconds = recover(f"recover_snapshot={snapshot[0]}")
    assert code == 2
    assert f"{', '.join(LOST)}: the host answers and has data of etcd" in output
    assert voters(lab) == set(MASTERS)


def test_from_the_member_that_is_left(lab: Lab, users: Load, tmp_path: Path, figures: Figures) -> None:
    """It has all that was acknowledged; lost ones are replaced by empty machines."""
    moment = time.time()
    lose(lab, *LOST)
    code, output, seconds = recover()
    assert code == 0, output[-5000:]
    assert voters(lab) == {LEFT}
    again = begin_again(lab, tmp_path)
    users.wait()
    figures.add(
        "quorum recovered from the member",
        seconds=seconds,
        seconds_to_join=again,
        write_gap=users.answers("writer").gap(moment),
        lost=len(users.lost()),
    )
    assert users.lost() == set()
    code, output, _seconds = recover()
    assert code == 2
    assert "the host answers and has data of etcd" in output


def test_an_empty_machine_begins_no_other_cluster(lab: Lab, snapshot: tuple[Path, set[int]]) -> None:
    """Whether the members that it should join have no majority, or do not answer at all."""
    assert snapshot[0].is_file()
    lose(lab, *LOST)
    make_machines()
    code, output = play("site", limit=LOST[0])
    assert code == 2
    assert "etcd answers, but a majority of its members does not." in output
    lab.run(LEFT, "systemctl stop etcd")
    code, output = play("site", limit=LOST[0])
    lab.run(LEFT, "systemctl start --no-block etcd")
    assert code == 2
    assert "but none of its members answers" in output
    assert "recover_quorum.yml" in output


def test_snapshots_that_are_refused(lab: Lab, snapshot: tuple[Path, set[int]], tmp_path: Path) -> None:
    """Damaged, or of another cluster; nothing is changed."""
    whole = snapshot[0].read_bytes()
    uid = UID.read_text(encoding="ascii").strip()
    assert whole.count(uid.encode()) > 0
    damaged, other = tmp_path / "damaged.db", tmp_path / "other.db"
    damaged.write_bytes(whole[:-1000] + b"x" + whole[-999:])
    other.write_bytes(whole.replace(uid.encode(), b"0" * 8 + uid[8:].encode()))
    before = lab.run(LEFT, "find /var/lib/etcd -maxdepth 1 | sort")
    for path, error in [
        (damaged, "the snapshot cannot be restored, and nothing was changed:"),
        (other, f"the snapshot is of another cluster: its uid is {'0' * 8}{uid[8:]}, this one's {uid}"),
    ]:
        code, output, _seconds = recover(f"recover_snapshot={path}")
        assert code == 2
        assert error in output
    code, output, _seconds = recover(host=LOST[0])
    assert code == 2
    assert f"{LEFT}: the host answers and has data of etcd" in output
    assert lab.run(LEFT, "find /var/lib/etcd -maxdepth 1 | sort") == before


def test_from_a_snapshot(
    lab: Lab, users: Load, snapshot: tuple[Path, set[int]], tmp_path: Path, figures: Figures
) -> None:
    """What was acknowledged before it is there, all later writes are lost, and users go on."""
    path, before = snapshot
    code, output, seconds = recover(f"recover_snapshot={path}")
    assert code == 0, output[-5000:]
    lost = users.lost()
    again = begin_again(lab, tmp_path)
    figures.add("quorum recovered from a snapshot", seconds=seconds, seconds_to_join=again, lost=len(lost))
    assert before
    assert lost.isdisjoint(before)
    assert max(users.answers("writer").acknowledged) > max(lost)
    assert set(site_run(tmp_path).changed.values()) == {0}
