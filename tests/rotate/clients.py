# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that use the cluster while something is done to it, and the longest time that each got no answer."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import pairwise

from ansible_collections.selfhosted.kubernetes.tests.lab.support import AGNHOST, WORKERS, Lab, agnhost

# A line for each answer; the credentials are read again each time, as programs should.
LOOP = """
i=$(date +%s)
while :; do
    i=$((i + 1))
    curl --silent --fail --output /dev/null --max-time 2 {options} && echo "$(date +%s.%N) $i"
    sleep 0.1
done
"""
CREDENTIALS = '--cacert {pod}/ca.crt --header "Authorization: Bearer $(cat {pod}/token)"'
PATCH = (
    "--request PATCH --header Content-Type:application/merge-patch+json"
    ' --data "{{\\"stringData\\":{{\\"count\\":\\"$i\\"}}}}" {server}/api/v1/namespaces/{namespace}/secrets/counted'
)


class Clients:
    """A writer by the local load balancer and a reader by the API's Service, with the credentials of a pod.

    And a user of a Service, and a program with client-go in a pod, which keeps its connection.
    """

    def __init__(self, lab: Lab, namespace: str) -> None:
        """Start what the clients need."""
        self.lab, self.namespace = lab, namespace
        where = f"--namespace={namespace}"
        binding = f"create rolebinding edit {where} --clusterrole=edit --serviceaccount={namespace}:default"
        lab.kubectl(binding)
        lab.kubectl(f"create secret generic counted {where} --from-literal=count=0")
        in_cluster = agnhost("in-cluster", namespace, None)
        in_cluster["spec"]["containers"] = [
            {"name": "client", "image": AGNHOST, "args": ["inclusterclient", "--poll-interval=1"]}
        ]
        lab.apply(*(agnhost(f"web-{node}", namespace, node, service="web") for node in WORKERS), in_cluster)
        lab.kubectl(f"wait {where} --for=condition=Ready --timeout=60s pod --all")
        service = {
            "metadata": {"name": "web", "namespace": namespace},
            "spec": {"selector": {"service": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
        }
        lab.apply({"apiVersion": "v1", "kind": "Service", **service})
        address = lab.get(f"service {where} web")["spec"]["clusterIP"]
        uid = lab.get(f"pod {where} web-{WORKERS[0]}")["metadata"]["uid"]
        volume = lab.run(WORKERS[0], f"ls -d /var/lib/kubelet/pods/{uid}/volumes/*projected/kube-api-access-*").strip()
        credentials = CREDENTIALS.format(pod=volume)
        writer = PATCH.format(server="https://127.0.0.1:7443", namespace=namespace)
        self.loops = {
            "writer": f"{credentials} {writer}",
            "reader": f"{credentials} https://10.96.0.1/api/v1/namespaces/{namespace}/secrets/counted",
            "service": f"http://{address}/hostname",
        }

    def close(self) -> None:
        """Nothing runs on."""
        for name in self.loops:
            self.lab[WORKERS[0]].run(f"systemctl stop lab-{name}")

    @contextmanager
    def watched(self, what: str, most: float) -> Iterator[None]:
        """Print how long it took and the longest time that each client waited for an answer; `most` is the limit."""
        began, since = time.monotonic(), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        for name, options in self.loops.items():
            script = LOOP.format(options=options)
            unit = f"systemd-run --collect --unit=lab-{name} --property=StandardOutput=truncate:/run/lab-{name}.log"
            self.lab.run(WORKERS[0], f"{unit} /bin/bash -c %s", script)
        time.sleep(2)
        yield
        took = time.monotonic() - began - 2
        time.sleep(2)
        gaps = {name: self.gap(name) for name in self.loops}
        gaps["client-go"] = self.failing(since)
        print(f"\n{what}: {took:.1f} s; longest time without an answer:", end="")  # noqa: T201
        print(", ".join(f" {name} {gap:.1f} s" for name, gap in gaps.items()))  # noqa: T201
        self.nothing_lost()
        assert max(gaps.values()) <= most, gaps

    def gap(self, name: str) -> float:
        """The longest time between two answers, from the first to the end."""
        self.lab.run(WORKERS[0], f"systemctl stop lab-{name}")
        times = [float(line.split()[0]) for line in self.answers(name)]
        times.append(float(self.lab.run(WORKERS[0], "date +%s.%N")))
        return max(later - earlier for earlier, later in pairwise(times))

    def answers(self, name: str) -> list[str]:
        """A line each: when, and what was counted."""
        return self.lab.run(WORKERS[0], f"cat /run/lab-{name}.log").splitlines()

    def nothing_lost(self) -> None:
        """The last write that was acknowledged is there, or the one after it."""
        acknowledged = int(self.answers("writer")[-1].split()[1])
        go = "--template='{{.data.count | base64decode}}'"
        stored = int(self.lab.kubectl(f"get secret counted --namespace={self.namespace} {go}"))
        assert stored in (acknowledged, acknowledged + 1)

    def failing(self, since: str) -> float:
        """The longest time that the program in the pod got no answer."""
        log = self.lab.kubectl(f"logs in-cluster --namespace={self.namespace} --since-time={since} --timestamps")
        asked: list[float] = []
        failed: set[float] = set()
        for line in log.splitlines():
            stamp, _, text = line.partition(" ")
            if "calling /healthz" in text:
                asked.append(datetime.fromisoformat(f"{stamp[:23]}+00:00").timestamp())
            elif "status=failed" in text and asked:
                failed.add(asked[-1])
        assert asked
        assert asked[-1] not in failed, log[-2000:]
        well = [moment for moment in asked if moment not in failed]
        # It asks once a second.
        return max(later - earlier for earlier, later in pairwise(well)) - 1


def restart_kubelets(lab: Lab, nodes: list[str]) -> None:
    """A kubelet that starts asks for new tokens for all its pods."""
    for node in nodes:
        lab.run(node, "systemctl restart kubelet")
    lab.kubectl(f"wait --for=condition=Ready --timeout=60s node {' '.join(nodes)}")
