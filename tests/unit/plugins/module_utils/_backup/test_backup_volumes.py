# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes that are marked are saved and come back, with the real restic; the shared file system is a folder."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._backup import volumes
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._backup.common import BackupError, Settings
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._backup.volumes import (
    back_up_volumes,
    look,
    put_back,
    rehearse,
)
from ansible_collections.selfhosted.kubernetes.tests.unit.plugins.module_utils._backup.conftest import Host

CLAIM = "shop/db"


class Storage:
    """A shared file system with two volumes, and what the API says of their claims."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.root = host.folder / "cephfs"
        self.settings: Settings = dataclasses.replace(host.settings, file_system=str(self.root))
        for name in ("pvc-1", "pvc-2"):
            (self.root / name / "_uploads").mkdir(parents=True)
            (self.root / name / "_uploads/picture").write_text(f"of {name}", encoding="ascii")
        (self.root / "pvc-1/rows").write_text("first", encoding="ascii")
        self.claims(db="pvc-1", files="pvc-2")
        self.pods()

    def says(self, words: str, document: dict[str, Any]) -> None:
        """Kubectl's answer."""
        name = "".join(it if it.islower() else "-" for it in words)
        (self.host.folder / name).write_text(json.dumps(document), encoding="ascii")

    def claims(self, **volumes_of: str) -> None:
        """Those that are marked, with their volumes."""
        items = [
            {"metadata": {"namespace": "shop", "name": name}, "spec": {"volumeName": volume}}
            for name, volume in volumes_of.items()
        ]
        self.says(f"persistentvolumeclaims --all-namespaces --selector={volumes.MARK}=true", {"items": items})
        for it in items:
            self.says(f"--namespace=shop persistentvolumeclaims/{it['metadata']['name']}", it)

    def pods(self, **phases: str) -> None:
        """Pods with the claim db, and how they are."""
        spec = {"volumes": [{"emptyDir": {}}, {"persistentVolumeClaim": {"claimName": "db"}}]}
        items = [
            {"metadata": {"name": name}, "spec": spec, "status": {"phase": phase}} for name, phase in phases.items()
        ]
        self.says("--namespace=shop pods", {"items": items})


@pytest.fixture
def storage(host: Host, monkeypatch: pytest.MonkeyPatch) -> Storage:
    """One that is always mounted; its snapshots are copies."""
    there = Storage(host)

    @contextmanager
    def mounted(settings: Settings) -> Iterator[Path]:
        yield Path(settings.file_system)

    @contextmanager
    def frozen(settings: Settings, root: Path) -> Iterator[Path]:
        then = root / f".snap/backup-{settings.host}"
        shutil.copytree(root, then, ignore=lambda _folder, names: [it for it in names if it == ".snap"])
        yield then
        shutil.rmtree(then)

    monkeypatch.setattr(volumes, "mounted", mounted)
    monkeypatch.setattr(volumes, "frozen", frozen)
    return there


def figures(host: Host) -> dict[str, float]:
    """Metrics by name."""
    lines = (host.folder / "metrics/selfhosted_backup_volumes.prom").read_text(encoding="utf-8").splitlines()
    pairs = (line.removeprefix("selfhosted_backup_volumes_").split() for line in lines if not line.startswith("#"))
    return {metric: float(value) for metric, value in pairs}


def test_a_volume_comes_back(storage: Storage) -> None:
    """With all that is in it, in place of what the claim has now; what that was before the first try is kept."""
    entry = back_up_volumes(storage.settings)
    assert (entry["result"], entry["errors"], entry["volumes"]) == ("success", [], [CLAIM, "shop/files"])
    assert look(storage.settings, CLAIM, "latest")["files"] == 2
    volume, before = storage.root / "pvc-1", storage.root / ".before-restore-pvc-1"
    for text in ("second", "third"):
        (volume / "rows").write_text(text, encoding="ascii")
        said = put_back(storage.settings, CLAIM, "latest")
        assert before.name in said["kept"]
        assert (volume / "rows").read_text(encoding="ascii") == "first"
        assert (volume / "_uploads/picture").read_text(encoding="ascii") == "of pvc-1"
        assert (before / "rows").read_text(encoding="ascii") == "second"
    assert not (storage.root / ".restore-pvc-1").exists()
    # A claim that was made anew has another volume.
    (storage.root / "pvc-9").mkdir()
    storage.claims(db="pvc-9")
    put_back(storage.settings, CLAIM, "latest")
    assert (storage.root / "pvc-9/rows").read_text(encoding="ascii") == "first"


def test_one_that_stopped_half_way_is_run_again(storage: Storage) -> None:
    """Where the old one was moved and the new one was not."""
    back_up_volumes(storage.settings)
    (storage.root / "pvc-1").rename(storage.root / ".before-restore-pvc-1")
    (storage.root / ".restore-pvc-1/half").mkdir(parents=True)
    put_back(storage.settings, CLAIM, "latest")
    assert (storage.root / "pvc-1/rows").read_text(encoding="ascii") == "first"


def test_what_cannot_be_put_back_changes_nothing(storage: Storage) -> None:
    """Each with one error that says what to do."""
    with pytest.raises(BackupError, match="no volume was saved yet"):
        put_back(storage.settings, CLAIM, "latest")
    back_up_volumes(storage.settings)
    with pytest.raises(BackupError, match=r"claim shop/x is not in the backup of .*; in it are: shop/db, shop/files"):
        put_back(storage.settings, "shop/x", "latest")
    with pytest.raises(BackupError, match=r"no backup of volumes is `2020-01-01`: there are 1"):
        put_back(storage.settings, CLAIM, "2020-01-01")
    storage.pods(db="Running", old="Succeeded", new="Pending")
    with pytest.raises(BackupError, match=r"claim shop/db is in use by db, new: scale what made them to 0"):
        put_back(storage.settings, CLAIM, "latest")
    storage.pods(old="Failed")
    storage.claims(db="")
    with pytest.raises(BackupError, match="claim shop/db has no volume yet"):
        put_back(storage.settings, CLAIM, "latest")
    storage.claims(db="local-w1-a")
    with pytest.raises(BackupError, match="its volume local-w1-a is not on the shared file system"):
        put_back(storage.settings, CLAIM, "latest")
    assert sorted(it.name for it in storage.root.iterdir() if "restore" in it.name) == []


def test_a_volume_that_is_elsewhere_is_named_and_others_are_saved(storage: Storage) -> None:
    """The run has an error then, and its metric says so."""
    storage.claims(db="pvc-1", disk="local-w1-a")
    entry = back_up_volumes(storage.settings)
    assert entry["errors"] == ["claim shop/disk: its volume local-w1-a is not on the shared file system"]
    assert (entry["result"], entry["volumes"]) == ("success", [CLAIM])
    seen = figures(storage.host)
    assert (seen["last_run_success"], seen["saved"]) == (0, 1)
    assert seen["last_success_timestamp_seconds"] == pytest.approx(entry["time"])


def test_without_the_api_what_was_saved_last_is_saved_again(storage: Storage) -> None:
    """Nobody can mark anything meanwhile."""
    storage.claims(db="pvc-1")
    back_up_volumes(storage.settings)
    storage.host.breaks("no-api")
    (storage.root / "pvc-1/rows").write_text("newer", encoding="ascii")
    assert back_up_volumes(storage.settings)["volumes"] == [CLAIM]
    assert look(storage.settings, CLAIM, "latest")["bytes"] == len("newer") + len("of pvc-1")


def test_copies_are_elsewhere(storage: Storage) -> None:
    """Beside those of etcd, in a repository of their own."""
    offsite = storage.host.folder / "offsite"
    entry = back_up_volumes(dataclasses.replace(storage.settings, targets=[f"{offsite}/"]))
    assert (entry["errors"], list(entry["targets"])) == ([], [f"{offsite}/volumes"])
    assert (offsite / "volumes/config").is_file()


def test_a_drill_has_a_volume_in_it(storage: Storage, tmp_path: Path) -> None:
    """Files by number and size, and a canary by its hash; one that another wrote is told."""
    folder = tmp_path / "drill"
    back_up_volumes(storage.settings)
    seen = rehearse(storage.settings, folder)
    assert seen["volume"] in (CLAIM, "shop/files")
    assert seen["volume_files"] in (1, 2)
    assert list(folder.iterdir()) == []
    manifest = volumes.manifest_of

    def other(*arguments: Any) -> dict[str, Any]:
        return {**manifest(*arguments), "canary": "0" * 64}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(volumes, "manifest_of", other)
        with pytest.raises(BackupError, match="canary of the shared file system"):
            rehearse(storage.settings, folder)


def test_a_snapshot_that_a_killed_run_left_is_removed(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ceph takes a directory in .snap as a snapshot; it is looked at by a path without that."""
    said: list[list[str]] = []
    monkeypatch.setattr(volumes, "run", said.append)
    left = host.folder / ".snap/backup-o1"
    left.mkdir(parents=True)
    with volumes.frozen(host.settings, host.folder) as then:
        assert left.is_dir()
        assert ".snap" not in then.parts
    assert said == [["mount", "--bind", str(left), str(then)]]
    assert not left.exists()
