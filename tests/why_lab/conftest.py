# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All cases at once in the lab, each in a namespace of its own; and the engine, as the operator's machine has it."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._why import answer, client, status
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._why.target import Target
from ansible_collections.selfhosted.kubernetes.tests.lab.support import (
    ENVIRONMENT,
    FOLDER,
    OPERATOR,
    Lab,
    docker,
    wait_until,
)
from ansible_collections.selfhosted.kubernetes.tests.why.plane import binary
from ansible_collections.selfhosted.kubernetes.tests.why_lab.workloads import CASES, Case

Document = dict[str, Any]
LABEL = "why-lab"
FIGURES = FOLDER / "why.json"


class Asker:
    """Asks as the operator does, and keeps how long it took and how many questions."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kubectl = str(binary("kubectl", folder))
        self.config = client.kubeconfig(str(FOLDER / "kubeconfig"), kubectl=self.kubectl)
        self.seconds: list[float] = []
        self.requests: list[int] = []
        self.figures: Document = {}

    def why(self, wanted: Target) -> Document:
        """One answer."""
        began = time.monotonic()
        with client.Client(self.config) as asking:
            said = answer.why(asking, wanted)
        self.seconds.append(time.monotonic() - began)
        self.requests.append(said["requests"])
        return said

    def until(self, case: Case, seconds: float) -> float:
        """Seconds until the answer is the case's; at the end what it is instead."""
        began = time.monotonic()
        while complaint := case.complaint(self.why(case.wanted)):
            assert time.monotonic() - began < seconds, complaint
            time.sleep(1)
        return time.monotonic() - began

    def everything(self) -> Document:
        """Of the whole cluster."""
        with client.Client(self.config) as asking:
            return status.status(asking)

    def program(self, *arguments: str) -> tuple[int, str, str]:
        """`kubectl why`, as the role admin has installed it on this machine: exit code, output and errors."""
        path = f"{self.folder}:{FOLDER}:{os.environ['PATH']}"
        environment = {**ENVIRONMENT, "PATH": path, "KUBECONFIG": str(FOLDER / "kubeconfig")}
        done = subprocess.run(
            [self.kubectl, "why", *arguments], env=environment, capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout, done.stderr

    def keep(self) -> None:
        """For the documentation."""
        if self.seconds:
            ordered = sorted(self.seconds)
            self.figures |= {"answers": len(ordered), "most_requests": max(self.requests)}
            self.figures |= {
                "median_seconds": round(ordered[len(ordered) // 2], 3),
                "most_seconds": round(ordered[-1], 3),
            }
        FIGURES.write_text(json.dumps(self.figures, indent=2) + "\n", encoding="utf-8")


@pytest.fixture(scope="session")
def asker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asker]:
    """One for all tests."""
    asker = Asker(tmp_path_factory.mktemp("asker"))
    yield asker
    asker.keep()


def create(lab: Lab, items: list[Document]) -> None:
    """All of them in one call: they are more than fits a command line."""
    path = FOLDER / "why-objects.json"
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}), encoding="utf-8")
    docker("cp", str(path), f"{OPERATOR}:/var/tmp/why-objects.json")
    lab.kubectl("create --filename=/var/tmp/why-objects.json >/dev/null")


@contextmanager
def injected(lab: Lab, cases: list[Case]) -> Iterator[None]:
    """Namespaces first, until pods can be made in them; a policy is in force some time after it was made."""
    spaces = [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": it.namespace, "labels": {LABEL: "", **dict(it.labels)}},
        }
        for it in cases
    ]
    items = [
        {**item, "metadata": {**item["metadata"], "namespace": it.namespace}} for it in cases for item in it.objects
    ]
    try:
        create(lab, spaces)
        accounts = "get serviceaccounts --all-namespaces --field-selector=metadata.name=default --no-headers"
        wanted = {it.namespace for it in cases}
        wait_until(
            lambda: wanted <= {line.split()[0] for line in lab.kubectl(accounts).splitlines()},
            120,
            "namespaces are ready",
        )
        create(lab, items)
        yield
    finally:
        remove(lab, wanted={it.namespace for it in cases})


def remove(lab: Lab, wanted: set[str]) -> None:
    """With what of them is in no namespace, and with finalizers of ours."""
    for space in wanted & {"why-finalizer"}:
        lab.try_kubectl(
            f"patch pod web --namespace={space} --type=merge --patch=%s", '{"metadata":{"finalizers":null}}'
        )
    kinds = "validatingwebhookconfiguration,validatingadmissionpolicy,validatingadmissionpolicybinding"
    names = " ".join(f"{space}.why.example" for space in sorted(wanted & {"why-webhook", "why-policy"}))
    if names:
        lab.try_kubectl(f"delete --ignore-not-found {kinds} {names}")
    lab.try_kubectl(f"delete namespace --ignore-not-found --wait=false {' '.join(sorted(wanted))}")


@pytest.fixture(scope="session")
def world(lab: Lab) -> Iterator[None]:
    """All cases, and what makes three of them what they are."""
    with injected(lab, CASES):
        lab.kubectl("delete pod web --namespace=why-finalizer --wait=false")
        # What refuses their pods was made with them, and is in force by now.
        for space in ("why-policy", "why-webhook"):
            lab.kubectl(f"scale deployment web --namespace={space} --replicas=1")
        yield
