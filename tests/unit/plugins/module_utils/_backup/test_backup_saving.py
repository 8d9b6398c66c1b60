# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One backup after the other, with the real restic, and what breaks in between."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._backup import common, drilling
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._backup.common import BackupError, Settings
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._backup.repository import (
    Repository,
    moment,
    pick,
    shown,
)
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._backup.saving import (
    DATABASE,
    back_up,
    fetch,
    listed,
)
from ansible_collections.selfhosted.kubernetes.tests.unit.plugins.module_utils._backup.conftest import STATUS, Host

LOCK_NAME = 64


def figures(host: Host, name: str = "selfhosted_backup") -> dict[str, float]:
    """Metrics by name."""
    lines = (host.folder / f"metrics/{name}.prom").read_text(encoding="utf-8").splitlines()
    pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
    return {metric.removeprefix(f"{name}_"): float(value) for metric, _, value in pairs}


def test_what_was_saved_comes_back(host: Host) -> None:
    """Also from a target that was away when it was made; the newest is the latest."""
    offsite = host.folder / "offsite"
    settings = dataclasses.replace(host.settings, targets=[str(offsite)])
    first = back_up(settings)
    assert (first["result"], first["errors"], first["objects"]) == ("success", [], 6)
    (host.folder / "planted").unlink()
    host.database(b"y" * 2048)
    offsite.rename(host.folder / "away")
    offsite.write_text("no folder", encoding="ascii")
    second = back_up(settings)
    assert second["result"] == "success"
    assert [error.startswith(f"{offsite}: ") for error in second["errors"]] == [True]
    seen = figures(host)
    assert (seen["last_run_success"], seen[f'target_success{{target="{offsite}"}}']) == (0, 0)
    assert seen["last_success_timestamp_seconds"] == pytest.approx(second["time"])
    offsite.unlink()
    (host.folder / "away").rename(offsite)
    assert back_up(settings)["errors"] == []
    assert len(Repository(settings, str(offsite)).snapshots()) == len(listed(settings)) == 3
    folder = host.folder / "fetched"
    manifest = fetch(settings, listed(settings)[-1]["id"], folder)
    assert (folder / DATABASE).read_bytes()[:1024] == b"x" * 1024
    assert (manifest["status"], manifest["objects"]["pods"]) == (STATUS, 1)
    assert (folder / "encryption.yaml").read_text(encoding="ascii") == "the key\n"


def test_metrics_are_in_it(host: Host) -> None:
    """Of Prometheus, what is finished; nothing of it is kept twice afterwards, and a folder that is away is told."""
    folder = host.folder / "monitoring/prometheus"
    for block in ("01KB0000000000000000000000", "wal", "01KB1111111111111111111111.tmp-for-creation"):
        (folder / block / "chunks").mkdir(parents=True)
        (folder / block / "chunks/000001").write_text(block, encoding="ascii")
    settings = dataclasses.replace(host.settings, prometheus=str(folder))
    assert back_up(settings)["errors"] == []
    listing = Repository(settings).restic("ls", "latest")
    assert [line for line in listing.splitlines() if "/monitoring/" in line and line.endswith("/000001")] == [
        str(host.folder / "monitoring/backup/01KB0000000000000000000000/chunks/000001")
    ]
    assert [path.name for path in folder.parent.iterdir()] == ["prometheus"]
    folder.rename(host.folder / "away")
    entry = back_up(settings)
    assert (entry["result"], len(entry["errors"])) == ("success", 1)
    assert str(folder) in entry["errors"][0]


def test_without_etcd_the_rest_is_saved(host: Host) -> None:
    """But it is no backup that could be restored, and says so."""
    good = back_up(host.settings)
    host.breaks("dead")
    host.breaks("gone")
    entry = back_up(host.settings)
    assert entry["result"] == "failed"
    assert entry["id"]
    assert "no member of etcd is healthy" in entry["errors"][0]
    assert len(listed(host.settings)) == 1
    assert figures(host)["last_success_timestamp_seconds"] == pytest.approx(good["time"])


def test_no_canary_where_no_api_server_answers(host: Host) -> None:
    """The snapshot is as good."""
    host.breaks("no-api")
    assert back_up(host.settings)["result"] == "success"
    assert fetch(host.settings, listed(host.settings)[0]["id"], host.folder / "out")["canary"] == ""


def leave_lock(repository: Repository) -> None:
    """As of a run that was killed while it removed old backups: nobody else may work there."""
    locks = Path(repository.location) / "locks"
    with subprocess.Popen(
        ["restic", "prune", "--repo", repository.location],
        env={**os.environ, **repository.environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as prune:
        # It has another name until it is whole.
        while prune.poll() is None and not [it for it in locks.iterdir() if len(it.name) == LOCK_NAME]:
            pass
        prune.kill()
    assert list(locks.iterdir())


def test_a_lock_of_a_dead_process_and_another_password(host: Host) -> None:
    """The one is removed, also by who only reads; the other is named; no password is shown."""
    back_up(host.settings)
    repository = Repository(host.settings)
    leave_lock(repository)
    assert len(listed(host.settings)) == 1
    leave_lock(repository)
    assert back_up(host.settings)["errors"] == []
    (host.folder / "etc/password").write_text("staple-battery-horse\n", encoding="ascii")
    (error,) = back_up(host.settings)["errors"]
    assert "does not open with backup_password" in error
    assert "staple" not in error


def test_a_clock_that_was_an_hour_ahead(host: Host) -> None:
    """It is said as long as `latest` is what was saved then; what is saved now is kept, and has its id."""
    back_up(host.settings)
    repository = Repository(host.settings)
    later = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%d %H:%M:%S")
    words = ["backup", f"--time={later}", "--host=o1", "--tag=etcd", str(host.settings.staging)]
    subprocess.run(
        ["restic", *words], env={**os.environ, **repository.environment, "TZ": "UTC"}, check=True, capture_output=True
    )
    entry = back_up(host.settings)
    assert entry["result"] == "success"
    (error,) = entry["errors"]
    assert "is 60 min in the future" in error
    assert error.split()[1] == listed(host.settings)[0]["id"][:8]
    assert figures(host)["last_run_success"] == 0
    assert entry["id"] in [it["id"][:8] for it in listed(host.settings)]


def served(_settings: Settings, folder: Path, _what: str) -> dict[str, Any]:
    """In place of the throw-away servers: all is as it was."""
    assert (folder / DATABASE).is_file()
    return {"objects": {"pods": 1}, "read": {"pods": 1}, "differences": []}


def damage(host: Host) -> None:
    """One bit of the packs that came last."""
    packs = sorted(Path(host.settings.repository).glob("data/*/*"), key=lambda path: path.stat().st_mtime_ns)
    for pack in packs[-2:]:
        content = pack.read_bytes()
        pack.chmod(0o600)
        pack.write_bytes(bytes([content[0] ^ 1]) + content[1:])


def test_a_drill_names_the_good_backup_before_a_bad_one(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has failed all the same; and nothing is left of it."""
    monkeypatch.setattr(drilling, "serve", served)
    good = back_up(host.settings)
    assert drilling.drill(host.settings, "latest")["result"] == "success"
    host.database(b"z" * 4096)
    back_up(host.settings)
    damage(host)
    entry = drilling.drill(host.settings, "latest")
    assert (entry["result"], entry["good"][:8]) == ("failed", good["id"][:8])
    assert "is bad: " in entry["differences"][0]
    assert entry["differences"][1] == f"the newest good backup is {good['id'][:8]}"
    assert list(Path(host.settings.drill).iterdir()) == []
    seen = figures(host, "selfhosted_backup_drill")
    assert (seen["last_run_success"], seen["differences"], seen['objects{kind="pods"}']) == (0, 2, 1)
    assert [it["result"] for it in common.records(host.settings, "drills")] == ["success", "failed"]


def test_a_drill_without_a_backup(host: Host) -> None:
    """It fails, and is written down."""
    Repository(host.settings).open()
    entry = drilling.drill(host.settings, "latest")
    assert entry["differences"] == ["no backup with a snapshot of etcd is `latest`: there is none"]


SNAPSHOTS = [
    {"id": "aa" * 32, "time": "2026-01-31T09:00:00.123456789Z"},
    {"id": "bb" * 32, "time": "2026-01-31T11:00:00.1+01:00"},
    {"id": "cc" * 32, "time": "2026-01-31T11:00:00Z"},
]


@pytest.mark.parametrize(
    ("wanted", "number"),
    [("latest", 2), ("aaaaaaaa", 0), ("2026-01-31T10:30", 1), ("2026-01-31 10:30:00Z", 1), ("2026-02-01", 2)],
)
def test_the_backup_that_is_meant(wanted: str, number: int) -> None:
    """By its age, its id, or the time until which it was made."""
    assert pick(SNAPSHOTS, wanted) == SNAPSHOTS[number]


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        ("2026-01-30", "is `2026-01-30`: there are 3, from 2026-01-31T09:00 on"),
        ("dddddddd", "is `dddddddd`: there are 3"),
        ("newest", "'newest' is neither `latest`, nor an id, nor a time"),
    ],
)
def test_no_backup_is_meant(wanted: str, error: str) -> None:
    """It is said what there is."""
    with pytest.raises(BackupError, match=error):
        pick(SNAPSHOTS, wanted)


def test_times_and_addresses() -> None:
    """Of restic's nine digits six are enough; passwords of a target are shown nowhere."""
    assert moment("2026-01-31T11:00:00.123456789+01:00") == datetime(2026, 1, 31, 10, 0, 0, 123456, UTC)
    assert shown("rest:https://me:secret@host/repo") == "rest:https://host/repo"
