# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Registry, git and CI: a push becomes an app that answers; without any master all of it works but the deployment."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from ansible_collections.selfhosted.kubernetes.tests.lab.ci import BASE, WEB, Repository, answer
from ansible_collections.selfhosted.kubernetes.tests.lab.support import (
    OPERATOR,
    OUTSIDE,
    PKI,
    Lab,
    address,
    start_masters,
    stop_masters,
    wait_until,
)

CA = "--cacert /etc/kubernetes/pki/outside-ca.crt"
# What `kubectl apply` takes to give up, and the job's own work.
DOWN_SECONDS = 120


@pytest.fixture(scope="module")
def base(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """What the app is built upon; its image is in the registry."""
    repository = Repository(lab, tmp_path_factory.mktemp("base"), "base")
    repository.pushed(BASE)
    return repository


@pytest.fixture(scope="module")
def web(lab: Lab, base: Repository, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A small web app that was pushed, and rolled out by that."""
    repository = Repository(lab, tmp_path_factory.mktemp("web"), "web")
    began = time.monotonic()
    repository.pushed(WEB)
    print(f"\nfrom push to rolled out: {time.monotonic() - began:.1f} s; {base.name} before it")  # noqa: T201
    return repository


@pytest.fixture
def no_masters(lab: Lab) -> Iterator[None]:
    """All of them are shut down, and back afterwards."""
    stop_masters()
    yield
    start_masters(lab)


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
