# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# ruff: noqa: E501  (commands stay as they are)
"""No API server answers: `kubectl why` says why, where a pod ran last, how it is there, and its last lines."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._why.target import parse
from ansible_collections.selfhosted.kubernetes.tests.lab.support import (
    MASTERS,
    NODES,
    OPERATOR,
    PKI,
    WORKERS,
    Lab,
    playbook,
    wait_until,
)
from ansible_collections.selfhosted.kubernetes.tests.why_lab.conftest import Asker, injected
from ansible_collections.selfhosted.kubernetes.tests.why_lab.workloads import Case, container, deployment, shell
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

SECONDS = 60
CERTIFICATE = "/etc/kubernetes/pki/apiserver.crt"
DATA = "/var/lib/etcd"
APISERVER = "systemctl --no-block start kube-apiserver"
THIEF = "import socket, time; s = socket.create_server(('0.0.0.0', 6443)); time.sleep(3600)"
# A file system of its own for etcd, with its data and not one more file; the true one is below it.
FULL = f"""set -e
systemctl stop etcd
mkdir -p /run/etcd-full
mount -t tmpfs -o size=600m,nr_inodes=300,mode=0700 tmpfs /run/etcd-full
cp -a {DATA}/. /run/etcd-full/
chown etcd:etcd /run/etcd-full
i=0; while touch /run/etcd-full/full.$i 2>/dev/null; do i=$((i + 1)); done
mount --bind /run/etcd-full {DATA}
systemctl --no-block start etcd"""
EMPTY = f"systemctl stop etcd; umount {DATA}; umount /run/etcd-full; systemctl --no-block start etcd"
# What is done to all masters, how it is undone, and the cause that is to be named.
FAULTS = {
    "API servers stopped": (
        "systemctl stop kube-apiserver",
        APISERVER,
        ("ApiServerStopped", "component/kube-apiserver", "kube-apiserver is stopped on"),
    ),
    "etcd stopped": (
        "systemctl stop etcd",
        "systemctl --no-block start etcd",
        ("EtcdStopped", "component/etcd", "etcd is stopped on"),
    ),
    "certificate ended": (
        f"mv {CERTIFICATE} {CERTIFICATE}.good && mv /var/tmp/ended.crt {CERTIFICATE} && systemctl restart kube-apiserver",
        f"mv {CERTIFICATE}.good {CERTIFICATE} && systemctl restart kube-apiserver",
        ("CertificateEnded", f"certificate/{MASTERS[0]}:{CERTIFICATE}", "ended on"),
    ),
    "port taken": (
        f'systemctl stop kube-apiserver && systemd-run --quiet --unit=thief python3 -c "{THIEF}" && sleep 1 && {APISERVER}',
        "systemctl stop thief",
        ("PortTaken", f"port/{MASTERS[0]}:6443", "has its port 6443"),
    ),
    "disk full": (FULL, EMPTY, ("DiskFull", f"disk/{MASTERS[0]}:{DATA}", "is full")),
}


def ended(master: str) -> str:
    """The API server's certificate of a master, as it would be a day after its end."""
    now = x509.load_pem_x509_certificate((PKI / f"certs/{master}/apiserver.crt").read_bytes())
    authority = x509.load_pem_x509_certificate((PKI / "ca/kubernetes.crt").read_bytes())
    key: Any = serialization.load_pem_private_key((PKI / "ca/kubernetes.key").read_bytes(), None)
    day = datetime.now(UTC) - timedelta(days=1)
    made = x509.CertificateBuilder(authority.subject, now.subject, now.public_key(), x509.random_serial_number())
    made = made.not_valid_before(day - timedelta(days=90)).not_valid_after(day)
    for extension in now.extensions:
        made = made.add_extension(extension.value, extension.critical)
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


@pytest.fixture(scope="module")
def pods(lab: Lab, asker: Asker) -> Iterator[tuple[Case, Case]]:
    """One that is well, one whose program ends."""
    well = Case("api-well", [deployment(container())])
    ends = Case("api-ends", [deployment(shell("echo giving up; exit 3"))], code="ExitCode")
    with injected(lab, [well, ends]):
        for case in (well, ends):
            asker.until(case, 90)
        yield well, ends


@contextmanager
def broken(lab: Lab, how: str, back: str) -> Iterator[None]:
    """On all masters, and mended whatever happens, until the cluster is whole again."""
    for master in MASTERS:
        # For the one fault that needs it.
        lab.run(master, "printf %%s %s >/var/tmp/ended.crt", ended(master))
    try:
        for master in MASTERS:
            lab.run(master, how)
        yield
    finally:
        for master in MASTERS:
            lab.run(master, back)
        wait_until(
            lambda: bool(lab.try_kubectl("get --raw=/readyz --request-timeout=2s").rc == 0), 90, "the API answers"
        )
        lab.kubectl(f"wait --for=condition=Ready --timeout=90s node {' '.join(NODES)}")


def once_ended(ask: Callable[[], str]) -> str:
    """An answer about the pod that ends, at a moment when its kubelet is not just starting it again."""
    answers = [ask()]

    def now() -> bool:
        answers.append(ask())
        return "ended" in answers[-1]

    wait_until(lambda: "ended" in answers[-1] or now(), SECONDS, "its container has ended")
    return answers[-1]


@pytest.mark.parametrize("fault", FAULTS)
def test_why_there_is_no_api(lab: Lab, asker: Asker, pods: tuple[Case, Case], fault: str) -> None:
    """The cause by code and object; the pod's node, state and last lines; no API server is asked for any of it."""
    how, back, (code, about, words) = FAULTS[fault]
    well, ends = pods
    with broken(lab, how, back):
        deadline = time.monotonic() + SECONDS
        while True:
            began = time.monotonic()
            exit_code, output, errors = asker.program("-o", "json", f"{well.namespace}/deployment/web")
            seconds = time.monotonic() - began
            said = json.loads(output)
            # What has just been broken may not be noticed yet.
            if said.get("cause", {}).get("code") == code or time.monotonic() > deadline:
                break
            time.sleep(1)
        name = f"{ends.namespace}/deployment/web"
        other = json.loads(once_ended(lambda: asker.program("-o", "json", name)[1]))
        run = once_ended(lambda: "{} {}".format(*playbook("why", f"pod={name}")))
    print(f"\n{fault}: {seconds:.1f} s\n" + "\n".join(said.get("lines", [errors])))  # noqa: T201
    asker.figures[f"without API, {fault}, seconds"] = round(seconds, 1)
    assert (exit_code, said["state"]) == (2, "unreachable"), errors
    assert (said["cause"]["code"], said["cause"]["object"]) == (code, about), said["verdict"]
    assert words in said["verdict"]
    assert "asking the cluster's hosts by ssh" in errors
    (place,) = said["pods"]
    (pod,) = said["pods"][place]
    assert place in WORKERS
    assert [(it["name"], it["state"]) for it in pod["containers"]] == [("web", "running")]
    assert any("Started HTTP server on port 8080" in line for line in pod["containers"][0]["lines"])
    ((_place, (pod,)),) = other["pods"].items()
    (part,) = pod["containers"]
    assert (part["state"], part["exit_code"], part["lines"][-1]) == ("ended", 3, "giving up")
    assert run.startswith("2 ")
    assert f"no API server answers: {said['cause']['verdict']}"[:60] in run
    assert "ended with exit code 3" in run
    assert Path(part["log"]).name.endswith(".log")


def test_on_a_node_itself(lab: Lab, pods: tuple[Case, Case]) -> None:
    """Who is on a master without the inventory gets what that host has, and how to ask all."""
    well, _ends = pods
    with broken(lab, "systemctl stop kube-apiserver", APISERVER):
        done = lab[MASTERS[0]].run(f"kubectl why {well.namespace}/deployment/web")
    assert done.rc == 2
    assert "on the control node: ansible-playbook -i inventory selfhosted.kubernetes.why -e pod=" in done.stderr


def test_where_kubectl_why_is(lab: Lab, asker: Asker, pods: tuple[Case, Case]) -> None:
    """On masters, outside and here; and what the last site run changed is among what changed."""
    well, _ends = pods
    for said in (
        lab.run(MASTERS[0], f"kubectl why {well.namespace}/deployment/web"),
        lab.run(OPERATOR, f"kubectl why {well.namespace}/deployment/web"),
        asker.program(f"{well.namespace}/deployment/web")[1],
    ):
        assert said.startswith("well: deployment/web is well: 1 of 1 pods ready")
    changes = asker.why(parse(f"node/{MASTERS[0]}", "", given=False))["changes"]
    assert any("a site run changed" in line for line in changes), changes
