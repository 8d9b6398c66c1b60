# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs is what the lock says."""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import Any

import yaml
from ansible_collections.selfhosted.kubernetes.tests.lab.support import MACHINES, MASTERS, ROOT, VERSION, Lab

LOCK: dict[str, Any] = yaml.safe_load((ROOT / "roles/artifacts/files/lock.yml").read_text(encoding="utf-8"))
# How programs are asked that do not know --version; CNI plugins say it whatever they are asked.
ASK = {
    "containerd-shim-runc-v2": "-v",
    "etcdctl": "version",
    "etcdutl": "version",
    "kube-state-metrics": "version",
    "kubectl": "version --client",
}
# It runs on the control node.
ELSEWHERE = {"crane"}


def locked() -> dict[str, str]:
    """Version of each program."""
    chosen = {
        name: VERSION[1:] if name == "kubernetes" else next(iter(it["versions"]))
        for name, it in LOCK["components"].items()
    }
    return {
        program: version
        for name, version in chosen.items()
        for program in LOCK["components"][name]["versions"][version]["programs"]
    }


def test_programs_have_the_versions_of_the_lock(lab: Lab) -> None:
    """As they say themselves, each of them, wherever it is installed."""
    wanted, seen = locked(), set()
    for name in MACHINES:
        paths = {path for record in lab.records(name) for path in record["binaries"]}
        asked = [f"echo '#{path}'; {path} {ASK.get(PurePath(path).name, '--version')} 2>&1" for path in sorted(paths)]
        for answer in lab.run(name, "; ".join(asked)).split("#/")[1:]:
            program = PurePath(answer.splitlines()[0]).name
            assert re.search(rf"(?<![\d.]){re.escape(wanted[program])}(?![\d.])", answer), f"{name}: {answer}"
            seen.add(program)
    assert seen == set(wanted) - ELSEWHERE


def test_processes_run_the_installed_programs(lab: Lab, machine: str) -> None:
    """None was replaced under a process that goes on with the old one."""
    units = " ".join(lab.components(machine).values())
    pids = set(lab.run(machine, f"systemctl show --property=MainPID --value {units}").split()) - {"0"}
    programs = lab.run(machine, f"readlink {' '.join(f'/proc/{pid}/exe' for pid in sorted(pids))}").split("\n")
    assert len(programs) > len(pids)
    assert [program for program in programs if program.endswith("(deleted)")] == []


def test_images_are_those_of_the_lock(lab: Lab) -> None:
    """Of all pods that the cluster itself runs; and CoreDNS says so, too."""
    pods = lab.get("pods --namespace=kube-system")["items"]
    images = {container["image"].split("@")[0] for pod in pods for container in pod["spec"]["containers"]}
    assert images == {LOCK["images"][name]["ref"] for name in ("coredns", "metrics-server")}
    version = LOCK["images"]["coredns"]["ref"].rpartition(":v")[2]
    for pod in pods:
        if pod["metadata"]["labels"].get("k8s-app") == "kube-dns":
            metrics = lab.run(MASTERS[0], f"curl --silent --fail http://{pod['status']['podIP']}:9153/metrics")
            assert re.search(rf'^coredns_build_info{{.*version="{re.escape(version)}"}} 1$', metrics, re.MULTILINE)
