# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files on the control node: private modes, atomic writes, one run at a time."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .certificate import PkiError

LOCK_SECONDS = 60.0


class Folder:
    """Files below one folder by name. In check mode nothing is written."""

    def __init__(self, path: str | Path, check: bool = False) -> None:
        self.path = Path(path)
        self.check = check
        self.lax: dict[str, int] = {}  # what others may read, with its mode

    @contextmanager
    def locked(self, seconds: float = LOCK_SECONDS) -> Iterator[None]:
        """Wait for another run to end: two at once would each make a CA."""
        lock = self.path / ".lock"
        if self.check:
            # Looking needs no lock file of its own.
            flags, kind = os.O_RDONLY, fcntl.LOCK_SH
            if not lock.exists():
                yield
                return
        else:
            self._folder(self.path)
            flags, kind = os.O_WRONLY | os.O_CREAT, fcntl.LOCK_EX
        descriptor = os.open(lock, flags | os.O_CLOEXEC, 0o600)
        try:
            self._wait(descriptor, kind, seconds)
            yield
        finally:
            os.close(descriptor)

    def read(self, name: str) -> bytes | None:
        """Content of a file, None when there is no such file."""
        try:
            with (self.path / name).open("rb") as stream:
                mode = os.fstat(stream.fileno()).st_mode & 0o777
                if mode & 0o077:
                    self.lax[name] = mode
                return stream.read()
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes, durable: bool = False) -> None:
        """Replace a file, so that there is always the old or the new one; `durable` for what cannot be made again."""
        if self.check:
            return
        path = self.path / name
        self._folder(path.parent)
        temporary = path.with_name(f".{path.name}.new")
        try:
            temporary.unlink(missing_ok=True)
            with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as stream:
                stream.write(content)
                stream.flush()
                if durable:
                    os.fsync(stream.fileno())
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        self.lax.pop(name, None)
        if durable:
            self._sync(path.parent)

    def rename(self, name: str, target: str) -> None:
        """Put a file in the place of another one, durably."""
        if self.check:
            return
        (self.path / name).replace(self.path / target)
        self._sync((self.path / target).parent)

    def remove(self, name: str) -> None:
        """Remove a file, durably."""
        if self.check:
            return
        (self.path / name).unlink()
        self._sync((self.path / name).parent)

    def tighten(self) -> Iterator[tuple[str, str]]:
        """Take from others what they may read, of all that was read; yields name and reason."""
        folders = {str(parent) for name in self.lax for parent in Path(name).parents} | {".", "ca", "certs", "keys"}
        for name in folders:
            path = self.path / name
            if path.is_dir() and (mode := path.stat().st_mode & 0o777) & 0o077:
                self.lax[name] = mode
        for name, mode in sorted(self.lax.items()):
            path = self.path / name
            if not self.check:
                path.chmod(0o700 if path.is_dir() else 0o600)
            yield str(path) if name == "." else name, f"others had access to it (mode {mode:04o})"

    def _sync(self, path: Path) -> None:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _folder(self, path: Path) -> None:
        if path.is_dir():
            return
        if path != self.path:
            self._folder(path.parent)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _wait(self, descriptor: int, kind: int, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise PkiError(
                        f"another run has been working in {self.path} for {seconds:.0f} s: let it end, then repeat"
                    ) from None
                time.sleep(0.05)
