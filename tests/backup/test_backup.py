# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups are made and drilled, also while something breaks; production notices nothing."""

from __future__ import annotations

import json
import threading
import time

import pytest
from ansible_collections.selfhosted.kubernetes.tests.backup.conftest import OBJECTS
from ansible_collections.selfhosted.kubernetes.tests.backup.outside import (
    REPOSITORY,
    back_up,
    cluster_id,
    contents,
    drill,
    last,
    metric,
    restore,
    revision,
)
from ansible_collections.selfhosted.kubernetes.tests.lab.monitoring import query
from ansible_collections.selfhosted.kubernetes.tests.lab.support import (
    FOLDER,
    OPERATOR,
    ROOT,
    Lab,
    leader,
    playbook,
    wait_until,
)
from ansible_collections.selfhosted.kubernetes.tests.scale.machines import Figures

DRILL_SECONDS = 60
FLIP = 'import sys; f = open(sys.argv[1], "r+b"); f.seek(int(sys.argv[2]))'
FLIP += "; b = f.read(1)[0] ^ 1; f.seek(-1, 1); f.write(bytes([b]))"


def test_a_backup_has_all_objects(lab: Lab, filled: str, figures: Figures) -> None:
    """Verified, by the playbook; its password is nowhere but in its file."""
    assert filled
    code, output = playbook("backup")
    assert code == 0, output[-3000:]
    run = last(lab, "runs")
    assert run["errors"] == []
    assert run["objects"] > OBJECTS
    assert run["id"][:8] in output
    assert time.time() - metric(lab, "last_success_timestamp_seconds") < 600
    figures.add("backup", seconds=run["seconds"], objects=run["objects"], added_bytes=run["added_bytes"])
    for name in ("backup-password", "backup-state-password"):
        password = (FOLDER / name).read_text(encoding="ascii").strip()
        assert password not in output
        assert password not in lab.run(OPERATOR, "journalctl --unit=backup --no-pager")
    assert lab.run(OPERATOR, "stat --format=%a /etc/backup/password").strip() == "600"
    assert lab.run(OPERATOR, "systemctl is-active backup.timer backup-drill.timer").split() == ["active", "active"]


def test_a_second_backup_costs_little(lab: Lab, filled: str, figures: Figures) -> None:
    """What is there already is not saved again."""
    assert filled
    run = back_up(lab)
    assert run["result"] == "success"
    figures.add("second backup", seconds=run["seconds"], added_bytes=run["added_bytes"])
    assert run["added_bytes"] < run["snapshot_bytes"] + 2**20


def test_a_drill_finds_everything(lab: Lab, filled: str, figures: Figures) -> None:
    """Within a minute, and production's history goes on as if there was none."""
    before, identity = revision(lab), cluster_id(lab)
    code, entry = drill(lab)
    assert (code, entry["result"], entry["differences"]) == (0, "success", [])
    assert entry["read"]["configmaps"] > OBJECTS
    assert cluster_id(lab) == identity
    assert before <= revision(lab) < before + 100_000
    assert lab.run(OPERATOR, "ls -A /var/lib/backup-drill") == ""
    assert lab.operator.run("systemctl is-active backup-plane").rc != 0
    figures.add("drill", seconds=entry["seconds"], objects=sum(entry["objects"].values()))
    assert entry["seconds"] <= DRILL_SECONDS
    assert filled


def test_the_throw_away_servers_reach_nothing(lab: Lab) -> None:
    """Their unit has no route and no production key; where there is a route they refuse."""
    script = "python3 -c 'from backup.plane import refuse_to_reach_others as it; it()'"
    library = "PYTHONPATH=/usr/local/lib/selfhosted-kubernetes"
    assert "can reach other machines" in lab.operator.run(f"{library} {script}").stderr


def test_a_backup_while_the_leader_is_killed(lab: Lab) -> None:
    """Another member gives it, or the run says what was the matter; the next one is good."""
    name = leader(lab)
    kill = threading.Timer(1.0, lambda: lab[name].run("systemctl kill --signal=KILL etcd"))
    kill.start()
    run = back_up(lab)
    kill.join()
    assert run["result"] == "success" or run["errors"]
    assert back_up(lab)["result"] == "success"


def test_no_room_for_a_backup(lab: Lab) -> None:
    """A clear error; the good backups stay, and the next run is good."""
    good = metric(lab, "last_success_timestamp_seconds")
    lab.run(OPERATOR, "mount -t tmpfs -o size=64k none /var/lib/backup/staging")
    try:
        run = back_up(lab)
    finally:
        lab.run(OPERATOR, "umount /var/lib/backup/staging")
    assert run["result"] == "failed"
    assert "no space left on device" in " ".join(run["errors"])
    assert metric(lab, "last_success_timestamp_seconds") == good
    assert metric(lab, "last_run_success") == 0
    assert back_up(lab)["result"] == "success"


def test_a_backup_that_was_killed(lab: Lab) -> None:
    """Its lock keeps nobody out."""
    lab.run(OPERATOR, "systemctl start --no-block backup.service; sleep 3; systemctl kill --signal=KILL backup.service")
    assert back_up(lab)["errors"] == []


def test_one_object_comes_back(lab: Lab, filled: str) -> None:
    """It is printed, and put back; nothing else is touched."""
    back_up(lab)
    before = contents(lab, filled)
    lab.kubectl(f"delete secret --namespace={filled} db")
    what = f"object=secret/{filled}/db"
    code, output = restore(what)
    assert code == 0, output[-3000:]
    assert "stringData" not in output
    assert lab.try_kubectl(f"get secret --namespace={filled} db").rc != 0
    code, output = restore(what, "restore_apply=true")
    assert code == 0, output[-3000:]
    password = lab.kubectl(
        f"get secret --namespace={filled} db --output=go-template='{{{{.data.password|base64decode}}}}'"
    )
    assert password == "as it was"
    after = contents(lab, filled)
    assert {name for name in before | after if before.get(name) != after.get(name)} == {"Secret/db"}


def test_metrics_come_back(lab: Lab) -> None:
    """A finished block of Prometheus, which is gone then; the steps are those of the disaster plan."""
    moment = int(time.time()) - 6 * 3600
    sample = f"# TYPE lab_test gauge\nlab_test 42 {moment}\n# EOF\n"
    folder = "/var/lib/monitoring/prometheus"
    lab.run(
        OPERATOR,
        f"cd /tmp && printf %s >lab_test && promtool tsdb create-blocks-from openmetrics lab_test {folder}",
        sample,
    )
    (block,) = lab.run(OPERATOR, f"grep --files-with-matches --recursive lab_test {folder}/*/index").splitlines()
    run = back_up(lab)
    assert run["errors"] == []
    assert lab.operator.run("ls /var/lib/monitoring/backup").rc != 0
    lab.run(OPERATOR, f"rm --recursive {block.removesuffix('/index')}")
    plan = (ROOT / "docs/disaster-plan.md").read_text(encoding="utf-8").splitlines()
    steps = [
        line for line in plan if line.startswith(("cp ", "chown --recursive prometheus", "systemctl restart prom"))
    ]
    restic = f"restic --repo {REPOSITORY} --password-file /etc/backup/password restore {run['id']} --target /"
    lab.run(OPERATOR, " && ".join([f"{restic} --include /var/lib/monitoring/backup", *steps]))
    wait_until(
        lambda: lab.operator.run("systemctl is-active prometheus").rc == 0 and value(lab, moment) == ["42"],
        60,
        "the sample is back",
    )


def value(lab: Lab, moment: int) -> list[str]:
    """What Prometheus knows of the sample; nothing while it starts."""
    try:
        return [it["value"][1] for it in query(lab, "lab_test", moment)]
    except (AssertionError, ValueError):
        return []


@pytest.mark.usefixtures("lab")
@pytest.mark.parametrize("what", ["secret/db", "toaster/shop/db"])
def test_what_is_no_object(what: str) -> None:
    """It is said how to write it."""
    code, output = restore(f"object={what}")
    assert code == 2
    assert "write it as KIND/NAMESPACE/NAME" in output or "the backup has no resource `toaster`" in output


def spoil(lab: Lab) -> None:
    """One bit of the newest manifest, which no other backup has: restic names a file's only piece by its hash."""
    blob = lab.run(OPERATOR, "sha256sum /var/lib/backup/staging/manifest.json").split()[0]
    known = f"export RESTIC_REPOSITORY={REPOSITORY} RESTIC_PASSWORD_FILE=/etc/backup/password"
    each = "for it in $(restic --quiet list index); do restic --quiet cat index $it; done"
    indexes, found = lab.run(OPERATOR, f"{known}; {each}"), []
    while indexes := indexes.strip():
        index, end = json.JSONDecoder().raw_decode(indexes)
        indexes = indexes[end:]
        found += [(pack["id"], it) for pack in index["packs"] for it in pack["blobs"] if it["id"] == blob]
    ((pack, place),) = found
    path, position = f"{REPOSITORY}/data/{pack[:2]}/{pack}", place["offset"] + place["length"] // 2
    lab.run(OPERATOR, f"chmod u+w {path} && python3 -c '{FLIP}' {path} {position}")


def test_a_bad_backup_is_found(lab: Lab) -> None:
    """The drill fails, names the good one before it, and no cluster is restored from it; then all is well again."""
    good = back_up(lab)
    lab.kubectl("create namespace lab-test-bad")
    back_up(lab)
    lab.run(OPERATOR, f"cp --archive {REPOSITORY} {REPOSITORY}.kept")
    spoil(lab)
    try:
        code, entry = drill(lab)
        assert (code, entry["result"], entry.get("good", "")[:8]) == (2, "failed", good["id"][:8])
        assert "is bad: " in entry["differences"][0]
        identity = cluster_id(lab)
        code, output = restore("restore_confirm=lab")
        assert code == 2
        assert "restic restore" in output
        assert cluster_id(lab) == identity
    finally:
        lab.run(OPERATOR, f"rm -rf {REPOSITORY} && mv {REPOSITORY}.kept {REPOSITORY}")
        lab.kubectl("delete namespace lab-test-bad")
    assert drill(lab)[1]["result"] == "success"
