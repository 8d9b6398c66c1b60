# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files by content on the control node, and which of them a recipe gave."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# 2000-01-01: all content has this time of change, so that rsync takes the same content of any cache for the same.
MTIME = 946684800


class ArtifactError(Exception):
    """Something that the user can act on; the text is shown as it is."""


def digest_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class Cache:
    """`sha256/DIGEST` holds content; `index/NAME.json` says what a recipe gave.

    An entry exists only when all of its files do.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.content = self.folder / "sha256"

    @contextmanager
    def locked(self, say: Callable[[str], object]) -> Iterator[None]:
        """Two runs at once would build everything twice: the second says so and waits; what a killed run left goes."""
        self.content.mkdir(parents=True, exist_ok=True)
        (self.folder / "index").mkdir(exist_ok=True)
        with open(self.folder / ".lock", "w", encoding="utf-8") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(f"artifacts: waiting for another run that fills {self.folder}")
                fcntl.flock(lock, fcntl.LOCK_EX)
            shutil.rmtree(self.work, ignore_errors=True)
            self.work.mkdir()
            try:
                yield
            finally:
                shutil.rmtree(self.work, ignore_errors=True)

    @property
    def work(self) -> Path:
        """Scratch space on the same file system."""
        return self.folder / "work"

    def get(self, name: str, recipe: str) -> dict[str, dict[str, Any]] | None:
        """Files of an entry; None when it was never made, was made by another recipe, or a file is gone or differs."""
        try:
            entry = json.loads((self.folder / "index" / f"{name}.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        if entry["recipe"] != recipe:
            return None
        for file in entry["files"].values():
            path = self.content / file["sha256"]
            try:
                status = path.stat()
            except FileNotFoundError:
                return None
            if (status.st_size, status.st_mtime) != (file["size"], MTIME):
                if digest_of(path) != file["sha256"]:
                    path.unlink()
                    return None
                os.utime(path, (MTIME, MTIME))
        return dict(entry["files"])

    def put(self, name: str, recipe: str, made: dict[str, Path]) -> dict[str, dict[str, Any]]:
        """Move files into the cache; the entry is written last."""
        files = {}
        for key, source in made.items():
            sha256 = digest_of(source)
            path = self.content / sha256
            source.chmod(0o755)
            os.utime(source, (MTIME, MTIME))
            os.replace(source, path)
            files[key] = {"sha256": sha256, "size": path.stat().st_size}
        index = self.folder / "index" / f"{name}.json"
        temporary = index.with_suffix(".new")
        temporary.write_text(json.dumps({"recipe": recipe, "files": files}, indent=1), encoding="utf-8")
        temporary.replace(index)
        return files
