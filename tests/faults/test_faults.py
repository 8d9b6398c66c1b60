# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One fault after the other, while users write to the API and ask a Service: what they notice is bounded."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.tests.lab.load import USERS, Load
from ansible_collections.selfhosted.kubernetes.tests.lab.support import (
    ENVIRONMENT,
    FOLDER,
    LOCAL_ETCDCTL,
    MACHINES,
    MASTERS,
    NAME,
    NODES,
    OPERATOR,
    ROOT,
    WORKERS,
    Lab,
    address,
    check,
    docker,
    leader,
    wait_until,
)

# Bounds in seconds: of issue and documentation, not of this machine.
SERVICE, KILLED_PART, LOST_MASTER = 1.0, 5.0, 10.0
# A fault that ends all masters is bounded by their start.
ALL_MASTERS = 60.0
RECOVERS = 120.0
TABLE = FOLDER / "faults.json"
# Drops all but ssh of the machine that runs the lab.
CUT = """
table inet cut {
    chain input { type filter hook input priority -300; policy drop; iif lo accept; tcp dport 22 accept; }
    chain output { type filter hook output priority -300; policy drop; oif lo accept; tcp sport 22 accept; }
}
"""

# Until systemd has started it again.
KILL = """set -e
pid=$(systemctl show --property=MainPID --value {unit})
systemctl kill --kill-whom=main --signal=SIGKILL {unit}
timeout 60 sh -c "until ! kill -0 $pid 2>/dev/null && systemctl is-active --quiet {unit}; do sleep 0.1; done"
"""
ONTO_TMPFS = """set -e
systemctl stop etcd
mv /var/lib/etcd /var/lib/etcd.disk
install -d -m 0700 -o etcd -g etcd /var/lib/etcd
mount -t tmpfs -o size=768m,mode=0700,uid=$(id -u etcd),gid=$(id -g etcd) tmpfs /var/lib/etcd
cp -a /var/lib/etcd.disk/. /var/lib/etcd/
systemctl start etcd"""
BACK_TO_DISK = """set -e
systemctl stop etcd
rm -rf /var/lib/etcd.disk
cp -a /var/lib/etcd /var/lib/etcd.disk
umount /var/lib/etcd
rmdir /var/lib/etcd
mv /var/lib/etcd.disk /var/lib/etcd
systemctl start etcd"""
# Through this member alone, for the others go on when its etcd has ended.
FILL = f"""for number in $(seq 100); do
    head --bytes=1000000 /dev/zero | tr '\\0' x |
        timeout 5 {LOCAL_ETCDCTL} put /lab-fill/$number >/dev/null ||
        systemctl is-active --quiet etcd || break
done"""
QUOTA_PAGE = "docs/operations/etcd-quota.md"
NO_SPACE = "journalctl --unit=etcd --since=-60s --no-pager | grep --ignore-case --quiet 'no space left'"


@dataclass(frozen=True)
class Fault:
    """What is done, for how long, how it ends, how long users may be without an answer, the lease that is lost."""

    name: str
    where: Callable[[Lab], str]
    begin: Callable[[Lab, str], object]
    end: Callable[[Lab, str], object] = field(default=lambda _lab, _host: None)
    lasts: float = 0.0
    write: float = KILLED_PART
    service: float = SERVICE
    lease: str = ""


def on(place: str) -> Callable[[Lab], str]:
    """Always the same host."""
    return lambda _lab: place


def holder(lease: str) -> Callable[[Lab], str]:
    """The master whose process leads, for the others of its kind only wait."""
    return lambda lab: leads(lab, lease).partition("_")[0]


def leads(lab: Lab, lease: str) -> str:
    """Who holds it: the host's name, and a number that each process has for itself."""
    ask = f"get lease {lease} --namespace=kube-system --output=jsonpath={{.spec.holderIdentity}}"
    return str(lab.try_kubectl(ask).stdout)


def kill(*units: str) -> Callable[[Lab, str], object]:
    """SIGKILL of their main processes, one after the other; systemd starts them again."""
    return lambda lab, host: [lab.run(host, KILL.format(unit=unit)) for unit in units]


def run(command: str, *arguments: str) -> Callable[[Lab, str], object]:
    """A command on the host."""
    return lambda lab, host: lab.run(host, command, *arguments)


def power(verb: str) -> Callable[[Lab, str], object]:
    """The machine's switch."""
    return lambda _lab, host: docker(verb, host)


def restart_all(_lab: Lab, _host: str) -> None:
    """All masters at once: docker itself would take them one after the other."""
    with ThreadPoolExecutor(len(MASTERS)) as pool:
        list(pool.map(partial(docker, "restart"), MASTERS))


# Slower than a killed part: health checks have to time out first, and connections break without a word.
SILENT = LOST_MASTER
LEASES = ("kube-controller-manager", "kube-scheduler")
NODE_PARTS = ("kube-loadbalancer", "containerd", "kubelet", "kube-proxy", "flanneld")
FAULTS = [
    Fault("etcd of the leader killed", leader, kill("etcd")),
    Fault("kube-apiserver killed", on(MASTERS[0]), kill("kube-apiserver")),
    *(Fault(f"leading {part} killed", holder(part), kill(part), lease=part) for part in LEASES),
    Fault("what all nodes have, killed on a master", on(MASTERS[0]), kill(*NODE_PARTS)),
    Fault("load balancer of the users' worker killed", on(WORKERS[0]), kill("kube-loadbalancer")),
    Fault("containerd killed", on(WORKERS[-1]), kill("containerd")),
    Fault("kubelet killed", on(WORKERS[-1]), kill("kubelet")),
    Fault("kube-proxy of the users' worker killed", on(WORKERS[0]), kill("kube-proxy")),
    Fault("flanneld of the users' worker killed", on(WORKERS[0]), kill("flanneld")),
    Fault("master with etcd's leader stopped", leader, power("stop"), power("start"), 15, LOST_MASTER),
    Fault("master with etcd's leader killed", leader, power("kill"), power("start"), 15, LOST_MASTER),
    Fault("master with etcd's leader paused for 20 s", leader, power("pause"), power("unpause"), 20, SILENT),
    Fault(
        "master with etcd's leader cut off for 20 s",
        leader,
        run("printf '%%s' %s | nft --file -", CUT),
        run("nft delete table inet cut"),
        20,
        SILENT,
    ),
    Fault("all masters restarted at once", on(MASTERS[0]), restart_all, lasts=1, write=ALL_MASTERS),
]


@dataclass(frozen=True)
class Row:
    """What users noticed of one fault: the longest times without a good answer, and until all was whole, in seconds.

    Of the ten requests a second to the Service, `service_failures` got none within a second.
    """

    fault: str
    host: str
    write_gap: float
    service_gap: float
    service_failures: int
    healed: float

    @classmethod
    def of(cls, fault: str, host: str, users: Load, began: float, healed: float) -> Row:
        """Since the fault began."""
        time.sleep(2)  # For what comes late.
        users.wait()
        writes, asks = (users.answers(name) for name in USERS)
        gaps = round(writes.gap(began), 1), round(asks.gap(began), 1)
        row = cls(fault, host, *gaps, asks.failures(began), round(healed, 1))
        print(f"\n{row}")  # noqa: T201
        return row


@pytest.fixture(scope="module")
def rows() -> Iterator[list[Row]]:
    """The table of figures, written at the end."""
    rows: list[Row] = []
    yield rows
    TABLE.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", encoding="utf-8")


def whole(lab: Lab) -> bool:
    """Every API server and member of etcd answers, every node is ready."""
    try:
        health = lab[MASTERS[0]].run("etcdctl endpoint health")
    except RuntimeError:  # The machine does not answer ssh yet.
        return False
    if f"{health.stdout}{health.stderr}".count(" is healthy") != len(MASTERS):
        return False
    for master in MASTERS:
        ask = f"--server=https://{address(master)}:6443 --request-timeout=2s get --raw=/readyz"
        if lab.try_kubectl(ask).stdout != "ok":
            return False
    nodes = lab.try_kubectl("--request-timeout=5s get nodes --no-headers").stdout.splitlines()
    return [line.split()[1] for line in nodes] == ["Ready"] * len(NODES)


def containers(lab: Lab, host: str) -> set[str]:
    """Pods' processes on a host, each with the time of its start."""
    output = lab.run(host, "ps -eo lstart:32,pid,cgroup --no-headers | grep /kubepods || true")
    return {" ".join(line.split()[:6]) for line in output.splitlines()}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault(lab: Lab, users: Load, rows: list[Row], fault: Fault) -> None:
    """Users notice little, and all heals by itself."""
    wait_until(partial(whole, lab), RECOVERS, "the cluster is whole before")
    host = fault.where(lab)
    before = containers(lab, WORKERS[-1])
    led = leads(lab, fault.lease) if fault.lease else ""
    began = time.time()
    fault.begin(lab, host)
    time.sleep(fault.lasts)
    fault.end(lab, host)
    ended = time.time() if fault.lasts else began
    wait_until(partial(whole, lab), RECOVERS, "the cluster is whole again")
    if fault.lease:
        wait_until(lambda: leads(lab, fault.lease) not in ("", led), RECOVERS, "another process leads")
    healed = time.time() - ended
    row = Row.of(fault.name, host, users, began, healed)
    rows.append(row)
    assert row.write_gap <= fault.write
    assert row.service_gap <= fault.service
    # What ran on the other worker still does, though its runtime or its kubelet was killed.
    assert before <= containers(lab, WORKERS[-1])


def test_no_acknowledged_write_is_lost(users: Load) -> None:
    """After all of the above."""
    writes = users.answers("writer")
    print(f"\n{len(writes.acknowledged)} writes acknowledged, {writes.failures()} not")  # noqa: T201
    assert len(writes.acknowledged) > 100
    assert users.lost() == set()


def test_dns_answers_while_a_coredns_pod_is_killed(lab: Lab, namespace: str, users: Load) -> None:
    """The other one answers."""
    assert users.namespace == namespace
    pods = lab.get(f"pods --namespace={namespace} --selector=app=web")["items"]
    name = pods[0]["metadata"]["name"]
    victim = lab.get("pods --namespace=kube-system --selector=k8s-app=kube-dns")["items"][0]["metadata"]["name"]
    ask = f"exec --namespace={namespace} {name} -- /agnhost connect --timeout=2s web.{namespace}.svc.cluster.local:80"
    lab.kubectl(f"delete pod --namespace=kube-system {victim} --grace-period=0 --force --wait=false")
    worked = []
    for _ in range(20):
        worked.append(lab.try_kubectl(ask).rc == 0)
        time.sleep(0.2)
    print(f"\n{worked.count(False)} of {len(worked)} look-ups failed")  # noqa: T201
    assert worked.count(False) <= 2
    lab.kubectl("rollout status deployment/coredns --namespace=kube-system --timeout=60s")


def test_pods_of_a_stopped_worker_move(lab: Lab, namespace: str, users: Load, rows: list[Row]) -> None:
    """After the toleration that the pods ask for; the Service goes on with the rest."""
    toleration = {"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}
    patch = {"spec": {"template": {"spec": {"tolerations": [toleration]}}}}
    lab.kubectl(f"patch deployment web --namespace={namespace} --patch=%s", json.dumps(patch))
    lab.kubectl(f"rollout status deployment/web --namespace={namespace} --timeout=90s")
    victim, began = WORKERS[-1], time.time()
    docker("stop", victim)
    try:

        def moved() -> bool:
            pods = lab.get(f"pods --namespace={namespace} --selector=app=web")["items"]
            ready = [pod for pod in pods if pod["spec"].get("nodeName") != victim and is_ready(pod)]
            return len(ready) == 2

        seconds = wait_until(moved, 180, f"both pods run elsewhere than on {victim}")
    finally:
        docker("start", victim)
    wait_until(partial(whole, lab), RECOVERS, "the cluster is whole again")
    row = Row.of("worker stopped; its pods ran elsewhere after", victim, users, began, seconds)
    rows.append(row)
    assert row.write_gap <= KILLED_PART


def is_ready(pod: dict[str, Any]) -> bool:
    """And not about to go."""
    conditions = {item["type"]: item["status"] for item in pod["status"].get("conditions", [])}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


def on_control_node(command: str) -> None:
    """A command of a page, on the lab that is tested."""
    command = command.replace("inventories/lab", f"inventories/{NAME}")
    done = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}"


def test_quota_of_etcd_is_exceeded(lab: Lab, users: Load, rows: list[Row], tmp_path: Path) -> None:
    """check.yml finds it and names the page, whose steps clear it: all commands are the page's."""
    page = (ROOT / QUOTA_PAGE).read_text(encoding="utf-8")
    steps, biggest, small_quota, fill, delete, own_quota = re.findall(
        r"^```\n(.*?)^```", page, re.MULTILINE | re.DOTALL
    )
    host = MASTERS[0]
    lab.run(host, f"set -e\n{steps}")
    try:
        on_control_node(small_quota)
        began = time.time()
        filled = lab[OPERATOR].run(fill)
        assert "database space exceeded" in filled.stderr
        assert lab[OPERATOR].run("kubectl create configmap more").rc != 0
        found = check(tmp_path)
        alarms = [it for it in found.findings if it[1] == "etcd" and it[3].startswith("alarm NOSPACE: ")]
        assert (found.code, [level for level, *_rest in alarms]) == (2, ["failure"])
        assert f"-> {QUOTA_PAGE}" in found.output
        assert "configmaps" in lab.run(host, biggest)
        lab.run(OPERATOR, delete)
        assert lab[OPERATOR].run("kubectl create configmap more").rc != 0
        cleared = time.time()
        lab.run(host, f"set -e\n{steps}")
        lab.run(OPERATOR, "kubectl create configmap more && kubectl delete configmap more")
        healed = time.time() - cleared
        wait_until(partial(whole, lab), RECOVERS, "the cluster is whole again")
        wait_until(lambda: check(tmp_path).code == 0, RECOVERS, "check.yml is content")
    finally:
        lab[host].run(steps)
        on_control_node(own_quota)
        lab[OPERATOR].run("kubectl delete configmap fill more --ignore-not-found")
    row = Row.of("quota of etcd exceeded; the steps of its page took", host, users, began, healed)
    rows.append(row)
    assert row.service_gap <= SERVICE
    assert users.lost() == set()


def test_disk_of_a_member_is_full(lab: Lab, users: Load, rows: list[Row]) -> None:
    """Its etcd ends, the others go on; with space again it comes back by itself."""
    wait_until(partial(whole, lab), RECOVERS, "the cluster is whole before")
    host = leader(lab)
    lab.run(host, ONTO_TMPFS)
    try:
        wait_until(partial(whole, lab), RECOVERS, "the cluster is whole on a small disk")
        began = time.time()
        lab[host].run("dd if=/dev/zero of=/var/lib/etcd/filler bs=1M")
        # etcd has room of its own in its files; when that is used up, it needs more of the disk.
        lab[host].run(FILL)
        wait_until(lambda: lab[host].run(NO_SPACE).rc == 0, 90, "etcd notices")
        users.wait()
        lab.run(host, "rm /var/lib/etcd/filler")
        ended = time.time()
        wait_until(partial(whole, lab), RECOVERS, "the cluster is whole again")
        healed = time.time() - ended
    finally:
        lab[host].run("rm -f /var/lib/etcd/filler")
        lab.run(host, BACK_TO_DISK)
    wait_until(partial(whole, lab), RECOVERS, "the cluster is whole on its old disk")
    lab.run(host, "etcdctl del --prefix /lab-fill/")
    row = Row.of("disk of etcd's leader full", host, users, began, healed)
    rows.append(row)
    assert row.write_gap <= LOST_MASTER
    assert row.service_gap <= SERVICE
    assert users.lost() == set()


def test_every_unit_runs(lab: Lab) -> None:
    """Nothing is left behind."""
    failed = {name: lab.run(name, "systemctl --failed --no-legend --plain") for name in MACHINES}
    assert set(failed.values()) == {""}
