# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Registry, git and CI: a push becomes an app that answers; without any master all of it works but the deployment."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.tests.lab.support import (
    AGNHOST,
    FOLDER,
    MASTERS,
    OPERATOR,
    OUTSIDE,
    PKI,
    WORKERS,
    Lab,
    address,
    docker,
    start_masters,
    wait_until,
)

CA = "--cacert /etc/kubernetes/pki/outside-ca.crt"
RUN_SECONDS = 120
# What `kubectl apply` takes to give up, and the job's own work.
DOWN_SECONDS = 120
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


@pytest.fixture(scope="module")
def base(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """What the app is built upon; its image is in the registry."""
    repository = Repository(lab, tmp_path_factory.mktemp("base"), "base")
    said = repository.result(repository.push(**BASE), RUN_SECONDS)
    assert said["result"] == "success", said["log"]
    return repository


@pytest.fixture(scope="module")
def web(lab: Lab, base: Repository, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A small web app that was pushed, and rolled out by that."""
    repository = Repository(lab, tmp_path_factory.mktemp("web"), "web")
    began = time.monotonic()
    said = repository.result(repository.push(**WEB), RUN_SECONDS)
    assert said["result"] == "success", said["log"]
    print(f"\nfrom push to rolled out: {time.monotonic() - began:.1f} s; {base.name} before it")  # noqa: T201
    return repository


@pytest.fixture
def no_masters(lab: Lab) -> Iterator[None]:
    """All of them are shut down, and back afterwards."""
    for master in MASTERS:
        docker("stop", master)
    yield
    start_masters(lab)


def answer(lab: Lab) -> str:
    """What the app's Service says on a worker."""
    service = lab.get("service --namespace=web web")["spec"]["clusterIP"]
    return str(lab[WORKERS[0]].run(f"curl --silent --max-time 3 http://{service}/hostname").stdout)


def test_a_push_becomes_an_app_that_answers(lab: Lab, web: Repository) -> None:
    """Its pod has the image of that very commit, by digest."""
    wait_until(lambda: answer(lab).startswith("web-"), 30, "the app answers")
    (pod,) = lab.get("pods --namespace=web --field-selector=status.phase=Running")["items"]
    assert pod["spec"]["containers"][0]["image"].startswith(f"{address(OPERATOR)}:5000/web@sha256:"), web.name


@pytest.mark.parametrize(
    "verb", ["get secrets --namespace=kube-system", "create deployments --namespace=default", "get nodes"]
)
def test_a_job_may_change_its_own_namespace_only(lab: Lab, web: Repository, verb: str) -> None:
    """Asked with the kubeconfig that it has."""
    ask = f"kubectl --kubeconfig=/etc/ci/kubeconfig/{web.name} auth can-i"
    assert lab.operator.run(f"{ask} create deployments --namespace=web").stdout.strip() == "yes"
    assert lab.operator.run(f"{ask} {verb}").stdout.strip() == "no"


def test_without_masters_all_works_but_the_deployment(lab: Lab, web: Repository, no_masters: None) -> None:
    """Clone, push, build and registry; the job says what is the matter, and is repeated when the masters are back."""
    assert no_masters is None
    web.git("ls-remote", "--exit-code", "origin", "main")
    commit = web.push(**{**WEB, "Dockerfile": f"{WEB['Dockerfile']}ENV again=1\n"})
    said = web.result(commit, DOWN_SECONDS)
    assert said["result"] == "exit-code", said["log"]
    assert "the cluster's API does not answer: when it does again, `ci-rerun web`" in said["log"]
    password = (PKI / "keys/registry-pull").read_text()
    url = f"https://127.0.0.1:5000/v2/web/manifests/{commit}"
    accept = "--header 'Accept: application/vnd.oci.image.manifest.v1+json'"
    lab.run(OPERATOR, f"curl --silent --fail --head --output /dev/null {CA} {accept} --user pull:{password} {url}")
    start_masters(lab)
    again = lab.run(OPERATOR, "ci-rerun --all").splitlines()
    print("\n" + "\n".join(again))  # noqa: T201
    assert [line.split()[0] for line in again] == ["base", "web", "all"], "what is needed comes first"
    assert all(line.endswith("success") for line in again)


def test_the_registry_asks_who_it_is(lab: Lab) -> None:
    """Nobody reads without a password, and what nodes have does not write."""
    for name in OUTSIDE:
        status = f"curl --silent --output /dev/null --write-out %%{{http_code}} {CA}"
        password = (PKI / "keys/registry-pull").read_text()
        pull, url = f"--user pull:{password}", "https://127.0.0.1:5000/v2/"
        assert lab[name].run(f"{status} %s", url).stdout == "401"
        assert lab[name].run(f"{status} {pull} %s", url).stdout == "200"
        assert lab[name].run(f"{status} {pull} --request POST %s", f"{url}web/blobs/uploads/").stdout == "401"
