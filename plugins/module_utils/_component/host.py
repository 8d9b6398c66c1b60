# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the component module does to a host: files, users, packages, systemd. Tests replace the parts that need root."""

from __future__ import annotations

import contextlib
import errno
import grp
import json
import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STATE_DIR = "/var/lib/selfhosted-kubernetes"
# Roles name packages as Debian does; what RHEL and its rebuilds call otherwise.
RPM_NAMES = {
    "conntrack": "conntrack-tools",
    "iproute2": "iproute",
    "iptables": "iptables-nft",
    "mount": "util-linux",
    "uidmap": "shadow-utils",
}
# Packages whose program runs as a unit of ours; the service that they bring stays off.
OURS = (
    *("haproxy", "keepalived", "nginx"),
    *("prometheus", "prometheus-alertmanager", "prometheus-blackbox-exporter", "prometheus-node-exporter"),
)


class ComponentError(Exception):
    """Something that the user can act on; the text is shown as it is."""


@dataclass(frozen=True)
class Found:
    """A file as it is: its bytes (empty for a binary, which is compared by digest), mode and owner."""

    content: bytes
    mode: int
    uid: int
    gid: int


class Host:
    """Access to one host, with everything below `root` (the real one is /)."""

    def __init__(self, root: str = "/") -> None:
        self.root = Path(root)

    def path(self, path: str) -> Path:
        """The real place of an absolute path."""
        return self.root / path.lstrip("/")

    # ---- files
    def read(self, path: str) -> Found | None:
        """The file's content and owner, or None when it is absent."""
        real = self.path(path)
        try:
            status = real.lstat()
            content = os.readlink(real).encode() if real.is_symlink() else real.read_bytes()
        except FileNotFoundError:
            return None
        return Found(content, status.st_mode & 0o7777, status.st_uid, status.st_gid)

    def write(self, path: str, content: bytes, mode: int, uid: int, gid: int) -> None:
        """Write atomically; in place where the file is a mount point and stays (/etc/hosts in a container)."""
        real = self.path(path)
        real.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.temporary(path)
        try:
            with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            self.set_owner(temporary, mode, uid, gid)
            temporary.replace(real)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            if error.errno != errno.EBUSY:
                raise
            real.write_bytes(content)
            self.set_owner(real, mode, uid, gid)

    def temporary(self, path: str) -> Path:
        """Where the new content of a file waits until it is complete."""
        real = self.path(path)
        return real.with_name(f".{real.name}.new")

    def set_owner(self, real: Path, mode: int, uid: int, gid: int) -> None:
        """Owner first: changing it clears the setuid bits of the mode."""
        os.chown(real, uid, gid)
        real.chmod(mode)

    def remove(self, path: str) -> None:
        """Remove a file that may be gone already."""
        with contextlib.suppress(FileNotFoundError):
            self.path(path).unlink()

    # ---- users
    def ids(self, owner: str, group: str) -> tuple[int, int] | None:
        """Numeric owner and group, or None while one of them does not exist."""
        try:
            return pwd.getpwnam(owner).pw_uid, grp.getgrnam(group).gr_gid
        except KeyError:
            return None

    def user_exists(self, name: str) -> bool:
        """Whether the system knows the user."""
        try:
            pwd.getpwnam(name)
        except KeyError:
            return False
        return True

    def add_user(self, name: str, home: str, shell: str) -> None:
        """A system user without a password, with a group of its own."""
        self.run(
            [
                "useradd",
                "--system",
                "--user-group",
                "--no-create-home",
                "--home-dir",
                home,
                "--shell",
                shell,
                name,
            ]
        )

    # ---- packages
    def missing_packages(self, names: Sequence[str]) -> list[str]:
        """Those of the packages that are not installed; asks the package database, not the network."""
        if not names:
            return []
        if self.has_dpkg():
            # NAME, or NAME=VERSION where it has to be that one.
            form = "${db:Status-Status} ${Package} ${Version}\\n"
            plain = [name.partition("=")[0] for name in names]
            done = self.try_run(["dpkg-query", "--show", "--showformat", form, *plain])
            found = [line.split() for line in done.stdout.splitlines() if line.startswith("installed ")]
            present = {it for _, name, version in found for it in (name, f"{name}={version}")}
        else:
            present = set()
            for name in names:
                if self.try_run(["rpm", "--query", "--whatprovides", RPM_NAMES.get(name, name)]).returncode == 0:
                    present.add(name)
        return [name for name in names if name not in present]

    def install_packages(self, names: Sequence[str]) -> None:
        """Install from the distribution, without starting its own services of what we run."""
        # What is masked when its package is configured gets neither started nor enabled; the mask of a run that is
        # killed lasts until the next boot.
        ours = [f"{name}.service" for name in names if name in OURS]
        if ours:
            self.systemctl("mask", "--runtime", *ours)
        try:
            if self.has_dpkg():
                # The list of packages is only refreshed when the first try fails.
                pinned = ["--allow-downgrades"] if any("=" in name for name in names) else []
                argv = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *pinned, *names]
                environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
                if self.try_run(argv, environment).returncode != 0:
                    self.run(["apt-get", "update", "--quiet"], environment)
                    self.run(argv, environment)
            else:
                known = dict.fromkeys(RPM_NAMES.get(name, name) for name in names)
                self.run(["dnf", "install", "--assumeyes", "--quiet", *known])
        finally:
            if ours:
                self.systemctl("unmask", "--runtime", *ours)

    def has_dpkg(self) -> bool:
        """Whether the host's packages are Debian's."""
        return self.path("/var/lib/dpkg/status").exists()

    # ---- systemd
    def units(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        """Properties of each unit, in one call."""
        if not names:
            return {}
        wanted = "LoadState,ActiveState,SubState,UnitFileState,NeedDaemonReload,NRestarts,ActiveEnterTimestampMonotonic"
        blocks = self.run(["systemctl", "show", "--property", wanted, *names]).strip("\n").split("\n\n")
        parsed = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in blocks]
        return dict(zip(names, parsed))

    def systemctl(self, *arguments: str) -> None:
        """Run systemctl; an error ends the run."""
        self.run(["systemctl", *arguments])

    def journal(self, unit: str, lines: int = 20) -> str:
        """The last lines of the unit's journal, for an error's text."""
        return self.try_run(
            ["journalctl", "--unit", unit, "--lines", str(lines), "--no-pager", "--output", "cat"]
        ).stdout.strip()

    # ---- processes
    def try_run(
        self, argv: Sequence[str], environment: dict[str, str] | None = None, timeout: float = 600
    ) -> subprocess.CompletedProcess[str]:
        """Run a command and return how it ended; a program that cannot run counts as exit code 127."""
        try:
            return subprocess.run(
                list(argv),
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                env=environment,
                timeout=timeout,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except OSError as error:
            return subprocess.CompletedProcess(list(argv), 127, "", str(error))
        except subprocess.TimeoutExpired:
            return subprocess.CompletedProcess(list(argv), 124, "", f"no answer within {timeout:.0f} s")

    def run(self, argv: Sequence[str], environment: dict[str, str] | None = None) -> str:
        """Run a command that must succeed."""
        done = self.try_run(argv, environment)
        if done.returncode != 0:
            output = (done.stderr or done.stdout).strip()[-2000:]
            raise ComponentError(f"`{' '.join(argv)}` failed with exit code {done.returncode}: {output}")
        return done.stdout

    def kill(self, pid: int, number: int) -> None:
        """Send a signal to a process that may be gone already."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    # ---- the mechanism's own state
    def load(self, name: str) -> dict[str, Any] | None:
        """A JSON document from the state folder; None when absent or cut short by a crash."""
        try:
            document = json.loads(self.path(f"{STATE_DIR}/{name}").read_text())
        except (FileNotFoundError, ValueError):
            return None
        return document if isinstance(document, dict) else None

    def save(self, name: str, document: dict[str, Any]) -> None:
        """Write a JSON document to the state folder."""
        self.write(
            f"{STATE_DIR}/{name}",
            (json.dumps(document, indent=1, sort_keys=True) + "\n").encode(),
            0o600,
            os.getuid(),
            os.getgid(),
        )
