# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fill the registry on the outside host with crane, as its user `push`."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .cache import ArtifactError


@dataclass(frozen=True)
class Crane:
    """The program, and the registry that it fills: address, CA on the control node and password of `push`."""

    program: str
    registry: str
    ca: str
    password: str

    @property
    def authorization(self) -> str:
        """Name and password as HTTP's Basic scheme wants them."""
        return base64.b64encode(f"push:{self.password}".encode()).decode()

    def push(self, layout: str, ref: str) -> None:
        """Push an OCI layout; the outside CA and no proxy."""
        self._run({"HTTPS_PROXY": "", "https_proxy": "", "NO_PROXY": "*"}, "push", "--index", layout, self._target(ref))

    def copy(self, source: str, ref: str) -> None:
        """Copy from another registry, all architectures; upstream perhaps by a proxy, the registry never."""
        self._run({"NO_PROXY": self.registry.rsplit(":", 1)[0]}, "copy", source, self._target(ref))

    def digest(self, source: str) -> str:
        """What a tag of another registry means now."""
        return self._run({}, "digest", source).strip()

    def _target(self, ref: str) -> str:
        return f"{self.registry}/{ref}"

    def _run(self, extra: dict[str, str], *arguments: str) -> str:
        # Where crane looks for passwords: a command line is seen by everybody.
        with tempfile.TemporaryDirectory(prefix="crane-") as folder:
            auths = {"auths": {self.registry: {"auth": self.authorization}}}
            Path(folder, "config.json").write_text(json.dumps(auths), encoding="utf-8")
            done = subprocess.run(
                [self.program, *arguments],
                capture_output=True,
                text=True,
                env={**os.environ, "SSL_CERT_FILE": self.ca, "DOCKER_CONFIG": folder, **extra},
                check=False,
            )
        if done.returncode != 0:
            verb = {"push": "pushing", "copy": "copying"}.get(arguments[0], "asking for")
            raise ArtifactError(f"{verb} {arguments[-1]} failed: {done.stderr.strip()[-1500:]}")
        return done.stdout
