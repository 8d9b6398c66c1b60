# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab as the tests see it: its machines over ssh, the cluster with kubectl on the outside host."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import testinfra
import yaml

ROOT = Path(__file__).resolve().parents[2]
NAME = os.environ.get("LAB", "lab")
INVENTORY = ROOT / "inventories" / NAME
# As the inventories of all labs say (lab_dir).
FOLDER = ROOT / ".lab"
PKI = FOLDER / "state/pki"
ENVIRONMENT = {
    **os.environ,
    "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
    "ANSIBLE_NOCOLOR": "1",
    "ANSIBLE_FORCE_COLOR": "0",
}
# What `make site` installs.
VERSION = "v" + yaml.safe_load((ROOT / "roles/cluster/defaults/main.yml").read_text())["cluster_kubernetes_version"]
AGNHOST = "registry.k8s.io/e2e-test-images/agnhost:2.66.1"
CA = "/etc/kubernetes/pki/ca.crt"
KUBECTL = "kubectl --kubeconfig=/etc/kubernetes/admin.conf"
# Root's etcdctl asks all members otherwise.
LOCAL_ETCDCTL = "etcdctl --endpoints=https://127.0.0.1:2379"


@cache
def inventory() -> dict[str, Any]:
    """The lab's inventory, read as Ansible does."""
    done = subprocess.run(
        ["ansible-inventory", "-i", str(INVENTORY), "--list"],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def group(name: str) -> list[str]:
    """Names of the group's hosts."""
    return sorted(inventory().get(name, {}).get("hosts", []))


def address(name: str) -> str:
    """Address of a host."""
    return str(inventory()["_meta"]["hostvars"][name]["ansible_host"])


MASTERS, WORKERS, OUTSIDE, STORAGE = group("masters"), group("workers"), group("outside"), group("storage")
NODES = MASTERS + WORKERS
MACHINES = NODES + OUTSIDE + STORAGE
OPERATOR = OUTSIDE[0]


class Lab:
    """All machines."""

    def __init__(self, work: Path) -> None:
        """Write the ssh configuration into a folder of its own; connections are opened once and shared."""
        self.config = work / "ssh_config"
        options = {
            "User": "root",
            "IdentityFile": FOLDER / "id_ed25519",
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": FOLDER / "known_hosts",
            "StrictHostKeyChecking": "yes",
            "ControlPath": work / "%h",
            # A connection to a machine that was stopped ends soon.
            "ServerAliveInterval": 2,
            "ServerAliveCountMax": 2,
        }
        common = "".join(f"    {key} {value}\n" for key, value in options.items())
        self.config.write_text(f"Host *\n{common}", encoding="utf-8")
        self.machines: dict[str, Any] = {}
        for name in MACHINES:
            self.add(name, address(name))

    def add(self, name: str, address: str) -> None:
        """One more."""
        known = self.config.read_text(encoding="utf-8")
        self.config.write_text(f"Host {name}\n    HostName {address}\n{known}", encoding="utf-8")
        self.machines[name] = testinfra.get_host(f"ssh://{name}", ssh_config=str(self.config))

    def close(self) -> None:
        """End the connections."""
        for name in self.machines:
            command = ["ssh", "-F", str(self.config), "-O", "exit", name]
            subprocess.run(command, capture_output=True, check=False)

    def __getitem__(self, name: str) -> Any:
        """The testinfra host."""
        return self.machines[name]

    @property
    def operator(self) -> Any:
        """Where kubectl runs: outside of the cluster."""
        return self.machines[OPERATOR]

    def run(self, name: str, command: str, *arguments: str) -> str:
        """Output of a command that has to work."""
        done = self.machines[name].run(command, *arguments)
        assert done.rc == 0, f"{name}: {command}: exit {done.rc}\n{done.stdout}\n{done.stderr}"
        return str(done.stdout)

    def try_kubectl(self, command: str, *arguments: str) -> Any:
        """Exit code and output of a kubectl command that may fail."""
        return self.operator.run(f"{KUBECTL} {command}", *arguments)

    def kubectl(self, command: str, *arguments: str) -> str:
        """Output of a kubectl command that has to work; arguments fill its %s, quoted."""
        return self.run(OPERATOR, f"{KUBECTL} {command}", *arguments)

    def get(self, command: str) -> dict[str, Any]:
        """Objects of `kubectl get`."""
        result: dict[str, Any] = json.loads(self.kubectl(f"get --output=json {command}"))
        return result

    def try_apply(self, *objects: dict[str, Any]) -> bool:
        """Create or change objects; whether it worked."""
        document = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        done = self.operator.run(f"printf '%%s' %s | {KUBECTL} --request-timeout=3s apply --filename=-", document)
        return bool(done.rc == 0)

    def apply(self, *objects: dict[str, Any]) -> None:
        """Create or change objects."""
        document = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        self.run(OPERATOR, f"printf '%%s' %s | {KUBECTL} apply --filename=-", document)

    def records(self, name: str) -> list[dict[str, Any]]:
        """What the collection wrote down of each component that it installed on a host."""
        output = self.run(name, "cat /var/lib/selfhosted-kubernetes/components/*.json")
        decoder, records = json.JSONDecoder(), []
        while output := output.lstrip():
            record, end = decoder.raw_decode(output)
            records.append(record)
            output = output[end:]
        return records

    def components(self, name: str) -> dict[str, str]:
        """Components with a unit that the collection installed on a host, each with its unit."""
        return {str(record["name"]): str(record["unit"]) for record in self.records(name) if record.get("unit")}

    def started(self) -> dict[str, dict[str, str]]:
        """When each unit of the collection was started last, by host."""
        result: dict[str, dict[str, str]] = {}
        for name in MACHINES:
            units = " ".join(sorted(self.components(name).values()))
            output = self.run(name, f"systemctl show --property=Id,InvocationID,ActiveEnterTimestampMonotonic {units}")
            result[name] = {}
            for block in output.strip().split("\n\n"):
                values = dict(line.split("=", 1) for line in block.splitlines())
                result[name][values["Id"]] = f"{values['InvocationID']} {values['ActiveEnterTimestampMonotonic']}"
        return result


def agnhost(name: str, namespace: str, node: str | None, **labels: str) -> dict[str, Any]:
    """A pod with a web server, bound to the node or to any."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name, **labels}},
        "spec": {
            **({"nodeName": node} if node else {}),
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "agnhost",
                    "image": AGNHOST,
                    "args": ["netexec", "--http-port=8080"],
                    "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1},
                }
            ],
        },
    }


def wait_until(works: Callable[[], bool], seconds: float, what: str) -> float:
    """Seconds until it works."""
    began = time.monotonic()
    while not works():
        assert time.monotonic() - began < seconds, f"not within {seconds} s: {what}"
        time.sleep(0.2)
    return time.monotonic() - began


def docker(*arguments: str) -> str:
    """The machines' power switch; output."""
    return subprocess.run(["docker", *arguments], check=True, capture_output=True, text=True).stdout.strip()


def stop_masters() -> None:
    """All of them are shut down, one after the other."""
    for master in MASTERS:
        docker("stop", "--time=1", master)


def start_masters(lab: Lab) -> None:
    """All of them, until the cluster is whole again."""
    for master in MASTERS:
        docker("start", master)
    wait_until(lambda: bool(lab.try_kubectl("get --raw=/readyz --request-timeout=2s").rc == 0), 90, "the API answers")
    lab.kubectl(f"wait --for=condition=Ready --timeout=90s node {' '.join(NODES)}")


def leader(lab: Lab) -> str:
    """The master whose etcd leads: the one that is missed most."""
    for line in lab.run(MASTERS[0], "etcdctl endpoint status").splitlines():
        fields = line.split(", ")
        if "true" in fields:
            return next(master for master in MASTERS if f"//{address(master)}:" in fields[0])
    raise AssertionError("etcd has no leader")


def watch(lab: Lab, name: str, seconds: int, url: str = "https://127.0.0.1:7443/readyz") -> float:
    """Ask the API twice a second, by default by the machine's load balancer: the longest time without an answer."""
    script = f"""
        end=$(( $(date +%s) + {seconds} ))
        date +%s.%N
        while [ $(date +%s) -lt $end ]; do
            curl --silent --fail --output /dev/null --max-time 2 --cacert {CA} {url} && date +%s.%N
            sleep 0.5
        done
        date +%s.%N"""
    times = [float(line) for line in lab.run(name, script).split()]
    return max(later - earlier for earlier, later in pairwise(times))


@dataclass(frozen=True)
class Run:
    """One run of a playbook."""

    output: str
    changed: dict[str, int]
    figures: dict[str, Any]


def playbook(
    name: str,
    *variables: str,
    limit: str = "",
    inventory: Path = INVENTORY,
    environment: dict[str, str] | None = None,
    check: bool = False,
) -> tuple[int, str]:
    """Run a playbook, by default on the lab; exit code and output, in one line."""
    extra = [word for variable in variables for word in ("-e", variable)] + (["--limit", limit] if limit else [])
    extra += ["--check"] if check else []
    argv = ["ansible-playbook", "-i", str(inventory), str(ROOT / f"playbooks/{name}.yml"), *extra]
    env = {**ENVIRONMENT, **(environment or {})}
    done = subprocess.run(argv, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


Finding = tuple[str, str, tuple[str, ...], str]


@dataclass(frozen=True)
class Check:
    """One run of check.yml: each finding with its level, area, hosts and text, each area by its name."""

    code: int
    output: str
    findings: list[Finding]
    areas: dict[str, Any]


def check(work: Path) -> Check:
    """Ask the whole lab for its health."""
    file = work / "health.json"
    file.unlink(missing_ok=True)
    argv = ["ansible-playbook", "-i", str(INVENTORY), str(ROOT / "playbooks/check.yml"), "-e", f"check_report={file}"]
    done = subprocess.run(argv, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert file.is_file(), f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}"
    said = json.loads(file.read_text(encoding="utf-8"))
    findings = [(it["level"], it["area"], tuple(it["hosts"]), it["what"]) for it in said["findings"]]
    return Check(done.returncode, done.stdout + done.stderr, findings, {area["name"]: area for area in said["areas"]})


def kill_all(pid: int) -> None:
    """A process and whatever comes from it: Ansible's workers have sessions of their own, and would go on."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(path.parent.name)] = int(path.read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    family = {pid}
    while more := {it for it, parent in parents.items() if parent in family} - family:
        family |= more
    for it in family:
        with suppress(ProcessLookupError):
            os.kill(it, signal.SIGKILL)


def killed(name: str, seconds: float, *variables: str) -> str:
    """Run a playbook on the lab and kill it after a time, with all its processes; says where it was.

    One that ends before that has to end well.
    """
    extra = [word for variable in variables for word in ("-e", variable)]
    argv = ["ansible-playbook", "-i", str(INVENTORY), str(ROOT / f"playbooks/{name}.yml"), *extra]
    with subprocess.Popen(
        argv, cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as run:
        try:
            output, _error = run.communicate(timeout=seconds)
            assert run.returncode == 0, output[-8000:]
            end = "it had ended well"
        except subprocess.TimeoutExpired:
            kill_all(run.pid)
            output, _error = run.communicate()
            end = f"killed after {seconds:.1f} s"
    tasks = re.findall(r"^TASK \[(.*?)\]", output, re.MULTILINE)
    return f"{end} in: {tasks[-1] if tasks else 'no task yet'}"


def site(
    work: Path,
    *arguments: str,
    environment: dict[str, str] | None = None,
    inventory: Path = INVENTORY,
    name: str = str(ROOT / "playbooks/site.yml"),
) -> Run:
    """Run the site playbook on the lab, as `make site` does."""
    file = work / "task_runs.json"
    done = subprocess.run(
        ["ansible-playbook", "-i", str(inventory), name, *arguments],
        cwd=ROOT,
        env={
            **ENVIRONMENT,
            **(environment or {}),
            "ANSIBLE_CALLBACKS_ENABLED": "selfhosted.kubernetes.task_runs",
            "SELFHOSTED_TASK_RUNS": str(file),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}"
    recap = done.stdout[done.stdout.rindex("PLAY RECAP") :]
    changed = re.findall(r"^(\S+)\s+: ok=\d+\s+changed=(\d+)", recap, re.MULTILINE)
    return Run(done.stdout, {host: int(count) for host, count in changed}, json.loads(file.read_text(encoding="utf-8")))
