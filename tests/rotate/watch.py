# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users of the cluster and programs in pods while something is rotated, and what they noticed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from ansible_collections.selfhosted.kubernetes.tests.lab.load import Answers, Load
from ansible_collections.selfhosted.kubernetes.tests.lab.support import AGNHOST, FOLDER, WORKERS, Lab, agnhost

GAP_SECONDS = 5.0
TABLE = FOLDER / "rotate.json"
# It asks the API's Service once a second.
POD, POLL_SECONDS = "in-cluster", 1


@dataclass(frozen=True)
class Row:
    """How long a rotation took, and the longest times without a good answer, in seconds; writes that were lost."""

    what: str
    took: float
    write_gap: float
    service_gap: float
    client_go_gap: float
    lost: int


def start_pod(lab: Lab, namespace: str) -> str:
    """A program with client-go, which keeps its connection; says where the kubelet keeps its credentials."""
    pod = agnhost(POD, namespace, WORKERS[0])
    arguments = ["inclusterclient", f"--poll-interval={POLL_SECONDS}"]
    pod["spec"]["containers"] = [{"name": "client", "image": AGNHOST, "args": arguments}]
    lab.apply(pod)
    lab.kubectl(f"wait --namespace={namespace} --for=condition=Ready --timeout=60s pod {POD}")
    uid = lab.get(f"pod --namespace={namespace} {POD}")["metadata"]["uid"]
    return lab.run(WORKERS[0], f"ls -d /var/lib/kubelet/pods/{uid}/volumes/kubernetes.io~projected/*").strip()


@dataclass
class Watch:
    """All of them at work; the writer has the credentials of the pod, and reads them each time."""

    lab: Lab
    users: Load
    rows: list[Row]

    @contextmanager
    def watched(self, what: str) -> Iterator[None]:
        """What the block does is a row of the table; nobody may be without an answer for long, no write be lost."""
        time.sleep(2)
        began = time.time()
        yield
        took = time.time() - began
        time.sleep(2)  # The program in the pod asks once a second.
        self.users.wait()
        # It asks once a second: a gap of that length is none.
        client_go = self.client_go(began).gap() - POLL_SECONDS
        gaps = [self.users.answers("writer").gap(began), self.users.answers("client").gap(began), client_go]
        write, service, client_go = (round(gap, 1) for gap in gaps)
        row = Row(what, round(took, 1), write, service, client_go, len(self.users.lost()))
        self.rows.append(row)
        print(f"\n{row}")  # noqa: T201
        TABLE.write_text(json.dumps([asdict(row) for row in self.rows], indent=1) + "\n", encoding="utf-8")
        assert row.lost == 0
        assert max(gaps) <= GAP_SECONDS

    def client_go(self, since: float) -> Answers:
        """What the program in the pod got, by the moments at which it asked."""
        moment = datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        log = self.lab.kubectl(f"logs {POD} --namespace={self.users.namespace} --since-time={moment} --timestamps")
        lines: list[tuple[float, bool, int]] = []
        for line in log.splitlines():
            stamp, _, text = line.partition(" ")
            if "calling /healthz" in text:
                lines.append((datetime.fromisoformat(f"{stamp[:23]}+00:00").timestamp(), True, len(lines)))
            elif "status=failed" in text and lines:
                asked, _well, number = lines.pop()
                lines.append((asked, False, number))
        assert lines, log[-2000:]
        assert lines[-1][1], log[-2000:]
        return Answers(lines)
