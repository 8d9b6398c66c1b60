# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users of a cluster while something is done to it: one writes to the API, one asks a Service; what they saw."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from .support import AGNHOST, CA, WORKERS, Lab, wait_until

PROGRAMS = Path(__file__).parent / "programs"
FOLDER = "/var/tmp/lab-load"
USER = "lab-writer"
USERS = ("writer", "client")
LABELS = {"app": "web"}
POD: dict[str, Any] = {
    "terminationGracePeriodSeconds": 5,
    # On different nodes, so that one may be drained.
    "topologySpreadConstraints": [
        {
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": LABELS},
        }
    ],
    "containers": [
        {
            "name": "agnhost",
            "image": AGNHOST,
            "args": ["netexec", "--http-port=8080"],
            "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1},
            # Answers until all nodes know that it is going, as a well-behaved server does.
            "lifecycle": {"preStop": {"sleep": {"seconds": 2}}},
        }
    ],
}
OBJECTS: list[dict[str, Any]] = [
    {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": LABELS},
            "template": {"metadata": {"labels": LABELS}, "spec": POD},
        },
    },
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"selector": LABELS, "ports": [{"port": 80, "targetPort": 8080}]},
    },
    {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "web"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": LABELS}},
    },
]


@dataclass(frozen=True)
class Answers:
    """What one of them got: (time, whether it was well, number)."""

    lines: list[tuple[float, bool, int]]

    @classmethod
    def of(cls, output: str) -> Answers:
        """From the program's output."""
        fields = (line.split() for line in output.splitlines())
        return cls([(float(moment), result == "ok", int(number)) for moment, result, number in fields])

    def gap(self, since: float = 0.0, until: float = float("inf")) -> float:
        """Longest time from one good answer to the next, in seconds, of those that touch the period."""
        good = [moment for moment, well, _number in self.lines if well]
        gaps = [later - earlier for earlier, later in pairwise(good) if later > since and earlier < until]
        return max(gaps, default=float("inf"))

    @property
    def acknowledged(self) -> set[int]:
        """Numbers that were well."""
        return {number for _moment, well, number in self.lines if well}

    def failures(self, since: float = 0.0) -> int:
        """How many were not."""
        return sum(not well for moment, well, _number in self.lines if moment > since)


class Load:
    """Both users at work, on one worker; `credentials` is the writer's folder there, by default with a token of 2 h."""

    def __init__(self, lab: Lab, namespace: str, place: str, credentials: str = "") -> None:
        self.lab = lab
        self.namespace = namespace
        self.place = place
        self.credentials = credentials

    def start(self) -> None:
        """Prepare what they use, start them, wait until both got an answer."""
        lab, namespace = self.lab, self.namespace
        lab.apply(*(item | {"metadata": {"namespace": namespace, **item["metadata"]}} for item in OBJECTS))
        lab.kubectl(f"create role {USER} --namespace={namespace} --verb=create --resource=configmaps")
        account = f"--serviceaccount={namespace}:default"
        lab.kubectl(f"create rolebinding {USER} --namespace={namespace} --role={USER} {account}")
        lab.kubectl(f"rollout status deployment/web --namespace={namespace} --timeout=60s")
        address = lab.get(f"service web --namespace={namespace}")["spec"]["clusterIP"]
        lab.run(self.place, f"install -d -m 0700 {FOLDER}")
        self._run("writer", f"{namespace} {self.credentials or self._token()}")
        self._run("client", address)
        self.wait()

    def wait(self) -> None:
        """Until both get good answers from now on: a gap that there is has its end then, and can be measured."""
        now = time.time()
        for name in USERS:
            wait_until(partial(self._answered, name, now), 30, f"{name} gets an answer")

    def _answered(self, name: str, since: float) -> bool:
        return any(well and moment > since for moment, well, _number in self.answers(name).lines)

    def _token(self) -> str:
        """A folder with credentials as pods have them; a pod's own one would be gone when the worker is drained."""
        token = self.lab.kubectl(f"create token default --namespace={self.namespace} --duration=2h").strip()
        self.lab.run(self.place, f"printf '%%s' %s >{FOLDER}/token && ln -sf {CA} {FOLDER}/ca.crt", token)
        return FOLDER

    def _run(self, name: str, arguments: str) -> None:
        place, source = self.place, (PROGRAMS / f"{name}.py").read_text(encoding="utf-8")
        self.lab.run(place, f"rm -f {FOLDER}/{name}.*")
        self.lab.run(place, f"printf '%%s' %s >{FOLDER}/{name}.py", source)
        self.lab.run(
            place,
            f"systemd-run --quiet --collect --unit=lab-{name} --property=StandardOutput=append:{FOLDER}/{name}.out"
            f" /usr/bin/python3 {FOLDER}/{name}.py {arguments}",
        )

    def stop(self) -> None:
        """End them; what they saw stays."""
        self.lab.run(self.place, "systemctl stop lab-writer lab-client")

    def answers(self, name: str) -> Answers:
        """So far."""
        return Answers.of(self.lab.run(self.place, f"cat {FOLDER}/{name}.out"))

    def lost(self) -> set[int]:
        """Writes that were acknowledged and are not there."""
        acknowledged = self.answers("writer").acknowledged  # First: the writer goes on.
        output = self.lab.kubectl(f"get configmaps --namespace={self.namespace} --output=name")
        kept = {int(name.rpartition("-")[2]) for name in output.split() if "/write-" in name}
        return acknowledged - kept


@contextmanager
def load(lab: Lab, namespace: str, credentials: str = "") -> Iterator[Load]:
    """Users at work for as long as the block runs."""
    users = Load(lab, namespace, WORKERS[0], credentials)
    users.start()
    try:
        yield users
        # So that a gap at the end ends, too.
        time.sleep(1)
    finally:
        users.stop()


def summary(users: Load) -> dict[str, Any]:
    """Figures for the documentation."""
    writes, asks = users.answers("writer"), users.answers("client")
    return {
        "write_gap": round(writes.gap(), 1),
        "writes": len(writes.acknowledged),
        "lost": len(users.lost()),
        "service_gap": round(asks.gap(), 1),
        "service_failures": asks.failures(),
    }
