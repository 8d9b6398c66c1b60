# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots of the shared file system, and a volume that is marked: saved, rehearsed and put back."""

from __future__ import annotations

import json

import pytest
from ansible_collections.selfhosted.kubernetes.tests.lab.support import OUTSIDE, STORAGE, WORKERS, Lab, playbook
from ansible_collections.selfhosted.kubernetes.tests.storage.support import claim, start, volume_tester

MARK = "storage.selfhosted.kubernetes/backup"


@pytest.fixture(scope="module")
def wrote(lab: Lab, namespace: str) -> str:
    """The hash of what a pod wrote into a volume that is marked, and that was saved."""
    wish = claim("kept", namespace, "shared", "64Mi")
    wish["metadata"]["labels"] = {MARK: "true"}
    lab.apply(wish)
    start(lab, "writes", namespace, WORKERS[0], "kept")
    found = volume_tester(lab, "writes", namespace, "write /volume/data 16")
    code, output = playbook("backup")
    assert code == 0, output[-6000:]
    return str(found["sha256"])


def test_snapshots_are_on_a_schedule(lab: Lab) -> None:
    """Made by Ceph itself; a node sees them, and neither makes nor removes one."""
    (schedule,) = json.loads(lab.run(STORAGE[0], "ceph fs snap-schedule status / --format json"))
    assert (schedule["schedule"], schedule["retention"], schedule["active"]) == ("1h", {"h": 24}, True)
    refused = lab[WORKERS[0]].run("mkdir /var/lib/cephfs/.snap/mine")
    assert refused.rc != 0
    assert "Permission denied" in refused.stderr or "not permitted" in refused.stderr


def test_a_pod_finds_its_own_files_of_an_earlier_time(lab: Lab, namespace: str, wrote: str) -> None:
    """Of a snapshot that is there, under the volume's own .snap."""
    mount = (
        f"ceph-fuse --conf=/etc/backup/ceph.conf --keyring=/etc/backup/ceph.keyring --name=client.backup-{OUTSIDE[0]}"
    )
    lab.run(OUTSIDE[0], f"mkdir -p /mnt/cephfs && {mount} /mnt/cephfs && mkdir /mnt/cephfs/.snap/scheduled")
    try:
        volume_tester(lab, "writes", namespace, "write /volume/data 4")
        (then,) = lab.run(WORKERS[0], "ls -d /var/lib/cephfs/pvc-*/.snap/_scheduled_*/data").split()
        assert lab.run(WORKERS[0], f"sha256sum {then}").split()[0] == wrote
    finally:
        lab.run(OUTSIDE[0], "rmdir /mnt/cephfs/.snap/scheduled; umount /mnt/cephfs")


def test_a_drill_has_the_volume_in_it(lab: Lab, namespace: str, wrote: str) -> None:
    """By the canary's hash, and its files by number and bytes."""
    assert wrote
    drilled = json.loads(lab.run(OUTSIDE[0], "/usr/local/sbin/backup drill"))
    assert (drilled["result"], drilled["differences"]) == ("success", [])
    assert (drilled["volume"], drilled["volume_bytes"]) == (f"{namespace}/kept", 16 << 20)


def test_nothing_stays_mounted(lab: Lab, wrote: str) -> None:
    """Nor does a snapshot of the run stay."""
    assert wrote
    assert lab[OUTSIDE[0]].run("findmnt --types fuse.ceph-fuse").stdout == ""
    assert not lab.run(WORKERS[0], "ls /var/lib/cephfs/.snap").count("backup-")


def test_it_comes_back(lab: Lab, namespace: str, wrote: str) -> None:
    """Not while a pod uses it; then as it was, with its quota, and another node reads it."""
    words = (f"object=volume/{namespace}/kept", "restore_apply=true")
    code, output = playbook("restore", *words)
    assert code != 0
    assert f"claim {namespace}/kept is in use by writes" in output
    lab.kubectl(f"delete --namespace={namespace} pod writes")
    code, output = playbook("restore", *words)
    assert code == 0, output[-6000:]
    start(lab, "reads", namespace, WORKERS[1], "kept")
    assert volume_tester(lab, "reads", namespace, "read /volume/data")["sha256"] == wrote
    assert volume_tester(lab, "reads", namespace, "fill /volume 200")["full"]
    lab.run(WORKERS[1], "rm -r /var/lib/cephfs/.before-restore-*")
