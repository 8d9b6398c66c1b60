# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a cluster of one member from the data of one host, or from a snapshot; what was there is kept until that runs.

Killed at any point, the next run finishes: what was done is read from folders that appear in one step.
"""

from __future__ import annotations

import json
import mmap
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from ._backup.etcd import BUMP
from ._etcdctl import ETCDCTL, ETCDUTL

ETCD = "/usr/local/bin/etcd"
CONFIG = "/etc/etcd/etcd.yaml"
DATA = "/var/lib/etcd"
UNIT, FORCING_UNIT = "etcd.service", "etcd-recover.service"
FORCING_CONFIG = "/run/etcd-recover.yaml"
LOCAL = "--endpoints=https://127.0.0.1:2379"
POLL_SECONDS = 0.3
# The namespace kube-system, as API servers store it: its key, then its name and, three empty fields later, its uid.
UID = re.compile(
    rb"/registry/namespaces/kube-system\x10.{0,80}?\x0bkube-system\x12\x00\x1a\x00\"\x00\*\$"
    rb"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})",
    re.DOTALL,
)
Run = Callable[["list[str]"], "tuple[int, str, str]"]


class RecoverError(Exception):
    """Something that the user can act on; the text is shown as it is."""


def uids_of(database: Path) -> set[str]:
    """Uids of the cluster whose data a database of etcd holds; older versions of its pages are read, too."""
    if not database.is_file() or not database.stat().st_size:
        return set()
    with database.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return {match.decode() for match in UID.findall(content)}


class Recovery:
    """One host's way back; `run` runs a program and returns exit code, output and errors."""

    def __init__(self, run: Run, seconds: float, root: str = "/") -> None:
        self.run = run
        self.seconds = seconds
        self.root = Path(root)
        data = self.path(DATA)
        self.member = data / "member"
        # The member before it was forced to be alone (a copy), and before a snapshot took its place (itself).
        self.before_force, self.before_restore = data / "before-force-new-cluster", data / "before-restore"
        self.part = data / "recover.part"

    def path(self, path: str) -> Path:
        """The real place of an absolute path."""
        return self.root / path.lstrip("/")

    def recover(self, snapshot: str, uid: str, check: bool) -> bool:
        """Whether anything was, or in check mode would be, done."""
        interrupted = self.before_force.exists() or self.before_restore.exists()
        if not check:
            self.run(["systemctl", "stop", FORCING_UNIT])
        if self.has_leader():
            if not interrupted:
                raise RecoverError(
                    "etcd has a leader and takes writes, so there is nothing to recover: run site.yml, or "
                    "replace_etcd_member.yml for a member that is lost"
                )
            self.finish(check)
            return True
        settings = self.settings()
        if snapshot:
            self.verify(snapshot, uid)
        elif not (self.member / "wal").is_dir() and not self.before_restore.exists():
            raise RecoverError("this host has no data of etcd: name another one, or give a snapshot")
        if check:
            return True
        if snapshot:
            self.restore(snapshot, settings)
            self.swap()
        else:
            self.force()
        self.must(["systemctl", "start", "--no-block", UNIT])
        self.wait_alone(UNIT)
        self.finish(check)
        return True

    def has_leader(self) -> bool:
        """Whether a majority is there: a read that needs one, from all members that the inventory has."""
        code, _output, _error = self.run([ETCDCTL, "--command-timeout=8s", "get", "selfhosted.kubernetes"])
        return code == 0

    def settings(self) -> dict[str, str]:
        """The member's identity, from etcd's own configuration."""
        try:
            text = self.path(CONFIG).read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise RecoverError(
                f"etcd is not installed on this host ({CONFIG} is missing): run site.yml for it first; that ends "
                "with an error when no member answers, and then this works"
            ) from error
        return {key: value.strip("'\" ") for key, value in re.findall(r"^([a-z-]+): *(\S.*)$", text, re.MULTILINE)}

    # ---- from a snapshot
    def verify(self, snapshot: str, uid: str) -> None:
        """It is of this cluster; that it is whole, `restore` proves before anything is changed."""
        wanted = {uid} if uid else uids_of(self.member / "snap/db") | uids_of(self.before_restore / "snap/db")
        found = uids_of(self.path(snapshot))
        if not found:
            raise RecoverError("the snapshot has no cluster in it: no namespace kube-system can be read")
        if not wanted:
            raise RecoverError(
                f"nothing says which cluster this is: if it is {', '.join(sorted(found))}, write that into the file "
                "cluster-uid of the state folder"
            )
        if not found & wanted:
            raise RecoverError(
                f"the snapshot is of another cluster: its uid is {', '.join(sorted(found))}, this one's "
                f"{', '.join(sorted(wanted))}"
            )

    def restore(self, snapshot: str, settings: dict[str, str]) -> None:
        """Make a member's data of it, beside what is there."""
        shutil.rmtree(self.part, ignore_errors=True)
        name, url = settings["name"], settings["initial-advertise-peer-urls"]
        cluster = settings.get("initial-cluster", f"{name}={url}")
        identity = [f"--name={name}", f"--initial-cluster={cluster}", f"--initial-advertise-peer-urls={url}"]
        identity += [f"--initial-cluster-token={settings['initial-cluster-token']}", f"--data-dir={self.part}"]
        argv = [ETCDUTL, "snapshot", "restore", str(self.path(snapshot)), *identity, *BUMP]
        code, output, error = self.run(argv)
        if code:
            shutil.rmtree(self.part, ignore_errors=True)
            raise RecoverError(
                f"the snapshot cannot be restored, and nothing was changed: {last_line(error or output)}"
            )
        self.must(["chown", "--recursive", "etcd:etcd", str(self.part)])

    def swap(self) -> None:
        """The restored data takes the place of what was there."""
        self.must(["systemctl", "stop", UNIT])
        if self.before_force.exists() and not self.before_restore.exists():
            self.before_force.rename(self.before_restore)
        if self.before_restore.exists():
            shutil.rmtree(self.member, ignore_errors=True)
        elif self.member.exists():
            self.member.rename(self.before_restore)
        (self.part / "member").rename(self.member)

    # ---- from the member
    def force(self) -> None:
        """The member forgets all others; its own data, and what its log has, stays."""
        self.must(["systemctl", "stop", UNIT])
        if self.before_restore.exists():
            shutil.rmtree(self.member, ignore_errors=True)
            self.before_restore.rename(self.member)
        if not self.before_force.exists():
            shutil.rmtree(self.part, ignore_errors=True)
            self.must(["cp", "--archive", "--reflink=auto", str(self.member), str(self.part)])
            self.part.rename(self.before_force)
        config = self.path(CONFIG).read_text(encoding="utf-8") + "force-new-cluster: true\n"
        self.path(FORCING_CONFIG).write_text(config, encoding="utf-8")
        # A unit that is gone with the next boot: whoever starts etcd with this twice cuts new members off.
        unit = ["systemd-run", "--quiet", "--collect", f"--unit={FORCING_UNIT}", "--property=User=etcd"]
        self.must([*unit, "--property=LimitNOFILE=65536", ETCD, f"--config-file={FORCING_CONFIG}"])
        self.wait_alone(FORCING_UNIT)
        self.must(["systemctl", "stop", FORCING_UNIT])
        self.path(FORCING_CONFIG).unlink()

    # ---- both
    def wait_alone(self, unit: str) -> None:
        """Until it is a cluster of one member that answers."""
        if complaint := self.waited_for(1):
            kept = next((path for path in (self.before_restore, self.before_force) if path.exists()), None)
            what = f" What was there before is in {kept}." if kept else ""
            raise RecoverError(f"{unit} is no cluster of its own after {self.seconds:.0f} s: {complaint}.{what}")

    def waited_for(self, count: int) -> str:
        """What so many members that answer still lack when the time is over; empty as soon as they lack nothing."""
        deadline = time.monotonic() + self.seconds
        while (complaint := self._incomplete(count)) and time.monotonic() <= deadline:
            time.sleep(POLL_SECONDS)
        return complaint

    def _incomplete(self, count: int) -> str:
        words = ["--command-timeout=2s", "--write-out=json", "member", "list", "--consistency=l"]
        code, output, error = self.run([ETCDCTL, LOCAL, *words])
        if code:
            return last_line(error or output)
        found = len(json.loads(output)["members"])
        return "" if found == count else f"it has {found} members, not {count}"

    def finish(self, check: bool) -> None:
        """What was kept is needed no more."""
        if not check:
            for folder in (self.part, self.before_force, self.before_restore):
                shutil.rmtree(folder, ignore_errors=True)

    def must(self, argv: list[str]) -> None:
        """Run a program that has to work."""
        code, output, error = self.run(argv)
        if code:
            raise RecoverError(f"`{os.path.basename(argv[0])} {argv[1]}` failed: {last_line(error or output)}")


def last_line(text: str) -> str:
    """What a program complained of, after its log."""
    lines = text.strip().splitlines()
    return lines[-1][:500] if lines else "it said nothing"
