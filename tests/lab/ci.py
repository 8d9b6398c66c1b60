# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What users of git and CI have: two repositories whose jobs make an image, and an app of it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from ansible_collections.selfhosted.kubernetes.tests.lab.support import (
    AGNHOST,
    FOLDER,
    OPERATOR,
    WORKERS,
    Lab,
    address,
    wait_until,
)

RUN_SECONDS = 120
GIT = f"ssh://git@{address(OPERATOR)}:2222"
BASE = {
    "Dockerfile": f"FROM {AGNHOST}\n",
    ".ci/run": """#!/bin/sh
set -eu
buildah build --quiet --tag "$CI_REGISTRY/base:latest" .
buildah push --quiet "$CI_REGISTRY/base:latest"
""",
}
WEB = {
    "Dockerfile": 'ARG REGISTRY\nFROM $REGISTRY/base:latest\nENTRYPOINT ["/agnhost", "netexec", "--http-port=8080"]\n',
    "web.json": json.dumps(
        {
            "apiVersion": "v1",
            "kind": "List",
            "items": [
                {
                    "apiVersion": "apps/v1",
                    "kind": "Deployment",
                    "metadata": {"name": "web"},
                    "spec": {
                        "selector": {"matchLabels": {"app": "web"}},
                        "template": {
                            "metadata": {"labels": {"app": "web"}},
                            "spec": {"containers": [{"name": "web", "image": "IMAGE"}]},
                        },
                    },
                },
                {
                    "apiVersion": "v1",
                    "kind": "Service",
                    "metadata": {"name": "web"},
                    "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
                },
            ],
        }
    ),
    ".ci/run": """#!/bin/sh
set -eu
buildah build --quiet --build-arg "REGISTRY=$CI_REGISTRY" --tag "$CI_REGISTRY/web:$CI_COMMIT" .
buildah push --quiet --digestfile digest "$CI_REGISTRY/web:$CI_COMMIT"
sed "s,IMAGE,$CI_REGISTRY/web@$(cat digest)," web.json | kubectl apply --namespace=web --filename=-
kubectl rollout status --namespace=web --timeout=60s deployment/web
""",
}


class Repository:
    """A clone on this machine, and what its job said on the outside host."""

    def __init__(self, lab: Lab, folder: Path, name: str) -> None:
        """Clone it with the key of the lab."""
        self.lab, self.name, self.path = lab, name, folder / name
        known = f"-o UserKnownHostsFile={folder}/known -o StrictHostKeyChecking=accept-new"
        ssh = f"ssh -i {FOLDER}/id_ed25519 -o IdentitiesOnly=yes {known}"
        author = {f"GIT_{who}_{what}": "lab@lab" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        self.environment = {**os.environ, "GIT_SSH_COMMAND": ssh, **author}
        self.git("clone", "--quiet", f"{GIT}/{name}.git", str(self.path), cwd=folder)

    def git(self, *arguments: str, cwd: Path | None = None) -> str:
        """A git command that has to work."""
        argv = ["git", *arguments]
        done = subprocess.run(
            argv, cwd=cwd or self.path, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{argv}: {done.stderr}"
        return done.stdout.strip()

    def push(self, **files: str) -> str:
        """Commit the files and push them; the commit's name."""
        for name, text in files.items():
            (self.path / name).parent.mkdir(exist_ok=True)
            (self.path / name).write_text(text, encoding="utf-8")
            (self.path / name).chmod(0o755 if text.startswith("#!") else 0o644)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message=lab")
        self.git("push", "--quiet", "origin", "HEAD:main")
        return self.git("rev-parse", "HEAD")

    def result(self, commit: str, seconds: float) -> dict[str, Any]:
        """How the newest run of a commit ended, and its log."""
        found: dict[str, Any] = {}

        def ended() -> bool:
            runs = self.lab.operator.run(f"cat /var/lib/ci/{self.name}/runs/*-{commit}.json").stdout.splitlines()
            found.update(json.loads(runs[-1]) if runs else {})
            return bool(found.get("result", "running") != "running")

        wait_until(ended, seconds, f"the job of {self.name} ends")
        return {**found, "log": self.lab.run(OPERATOR, f"cat /var/log/ci/{self.name}/{found['run']}.log")}

    def pushed(self, files: dict[str, str]) -> dict[str, Any]:
        """Push files whose job has to work."""
        said = self.result(self.push(**files), RUN_SECONDS)
        assert said["result"] == "success", said["log"]
        return said


def answer(lab: Lab) -> str:
    """What the app's Service says on a worker."""
    service = lab.get("service --namespace=web web")["spec"]["clusterIP"]
    return str(lab[WORKERS[0]].run(f"curl --silent --max-time 3 http://{service}/hostname").stdout)
