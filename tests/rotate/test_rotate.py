# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything is rotated once while programs use the cluster; one rotation is killed twice and run again."""

from __future__ import annotations

import os
import shutil
import signal
import ssl
import subprocess
import time
from datetime import timedelta
from pathlib import Path

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._pki.certificate import (
    Authority,
    Wanted,
    load_key,
    new_leaf,
    pem,
    utc_now,
)
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._pki.keys import PUBLIC, key_id, random_id
from ansible_collections.selfhosted.kubernetes.tests.lab.support import (
    ENVIRONMENT,
    FOLDER,
    INVENTORY,
    MACHINES,
    MASTERS,
    NODES,
    OPERATOR,
    OUTSIDE,
    ROOT,
    WORKERS,
    Lab,
    address,
    playbook,
    site,
    wait_until,
)
from ansible_collections.selfhosted.kubernetes.tests.rotate.clients import Clients, restart_kubelets
from cryptography import x509
from cryptography.hazmat.primitives import serialization

PKI = FOLDER / "state/pki"
# Who listens where, by the CA that issues its certificate.
LISTEN = {
    "kubernetes": [(master, port) for master in MASTERS for port in (6443, 10257, 10259)]
    + [(node, 10250) for node in NODES],
    "etcd": [(master, port) for master in MASTERS for port in (2379, 2380)],
    "outside": [(host, port) for host in OUTSIDE for port in (8444, 5000)],
    "front-proxy": [],
}
GAP_SECONDS = 5.0
# As the playbook does by itself; less is for trying things out.
SETTLE = os.environ.get("ROTATE_SETTLE_SECONDS", "300")


def rotate(*variables: str) -> str:
    """Run the playbook, which has to work."""
    code, output = playbook("rotate_certificates", *variables)
    assert code == 0, output[-8000:]
    return output


def served(ca: str) -> dict[tuple[str, int], x509.Certificate]:
    """The certificate that each process shows, not the one in its file."""
    return {
        (name, port): x509.load_pem_x509_certificate(
            ssl.get_server_certificate((address(name), port), timeout=5).encode()
        )
        for name, port in LISTEN[ca]
    }


def numbers() -> dict[tuple[str, int], int]:
    """Serial numbers of all that is served."""
    return {place: certificate.serial_number for ca in LISTEN for place, certificate in served(ca).items()}


def bundle(ca: str, folder: Path = PKI) -> list[x509.Certificate]:
    """CAs that are trusted, first the one in use."""
    return x509.load_pem_x509_certificates((folder / f"ca/{ca}.crt").read_bytes())


def killed(*variables: str, when: str) -> None:
    """Run the playbook and kill it, with all that it started here, some seconds after it says something."""
    extra = [word for variable in variables for word in ("-e", variable)]
    argv = ["ansible-playbook", "-i", str(INVENTORY), str(ROOT / "playbooks/rotate_certificates.yml"), *extra]
    with subprocess.Popen(
        argv,
        cwd=ROOT,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as run:
        assert run.stdout is not None
        for line in run.stdout:
            if when in line:
                time.sleep(3)
                os.killpg(run.pid, signal.SIGKILL)
                break
        else:
            pytest.fail(f"it never said {when}")


def everything_is_well(lab: Lab, tmp_path: Path) -> None:
    """Nothing is left to do, and extension API servers, logs and DNS work."""
    assert set(site(tmp_path).changed.values()) == {0}
    assert not (PKI / "rotations.json").exists()
    assert not list(PKI.rglob("*.next.*"))
    wait_until(lambda: lab.try_kubectl("top nodes").rc == 0, 60, "metrics-server answers")
    assert lab.try_kubectl("logs --namespace=kube-system deployment/coredns --tail=1").rc == 0


def test_site_renews_what_is_close_to_its_end(lab: Lab, tmp_path: Path) -> None:
    """One certificate with a sixth of its life left, and nothing else."""
    node, now = WORKERS[0], utc_now()
    before = numbers()
    wanted = Wanted(
        f"{node}/kubelet-server", "kubernetes", f"system:node:{node}", ("server",), (), (node,), (address(node),)
    )
    authority = Authority(bundle("kubernetes")[0], load_key((PKI / "ca/kubernetes.key").read_bytes(), "its key"))
    certificate, key = new_leaf(wanted, authority, 30, now - timedelta(days=25))
    (PKI / f"certs/{wanted.name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (PKI / f"certs/{wanted.name}.key").write_bytes(pem(key))
    site(tmp_path)
    after = numbers()
    assert {place for place in before if before[place] != after[place]} == {(node, 10250)}
    assert served("kubernetes")[node, 10250].not_valid_after_utc > now + timedelta(days=300)
    everything_is_well(lab, tmp_path)


def test_all_certificates(lab: Lab, clients: Clients, tmp_path: Path) -> None:
    """Each process shows another one, by the same CAs."""
    before, cas = numbers(), {ca: bundle(ca) for ca in LISTEN}
    with clients.watched("all certificates", GAP_SECONDS):
        rotate()
    after = numbers()
    assert not [place for place in before if before[place] == after[place]]
    assert {ca: bundle(ca) for ca in LISTEN} == cas
    everything_is_well(lab, tmp_path)


def check_ca(lab: Lab, ca: str, old_pki: Path) -> None:
    """The new CA is the only one: who shows a certificate has one of it, who checks one takes none of the old one."""
    (old,), (new,) = bundle(ca, old_pki), bundle(ca)
    for place, certificate in served(ca).items():
        certificate.verify_directly_issued_by(new)
        assert certificate.issuer != old.issuer, place
    pem = old_pki.joinpath(f"ca/{ca}.crt").read_text().splitlines()[1]
    for name in MACHINES:
        assert lab[name].run(f"grep -rlF {pem} /etc").stdout == ""
    assert pem not in lab.kubectl("get configmaps --all-namespaces --output=yaml")
    assert pem not in (FOLDER / "kubeconfig").read_text()


def curl(*arguments: object) -> str:
    """The answer's status from this machine; 000 without one."""
    argv = ["curl", "--silent", "--output", "/dev/null", "--max-time", "5", "--write-out", "%{http_code}"]
    done = subprocess.run([*argv, *map(str, arguments)], capture_output=True, text=True, check=False)
    return done.stdout


@pytest.fixture
def old_pki(tmp_path: Path) -> Path:
    """A copy of how it was before."""
    return Path(shutil.copytree(PKI, tmp_path / "pki"))


def pair(folder: Path, name: str) -> tuple[object, ...]:
    """A client certificate for curl."""
    return "--cert", folder / f"certs/{name}.crt", "--key", folder / f"certs/{name}.key"


def test_ca_of_etcd_killed_twice(lab: Lab, clients: Clients, tmp_path: Path, old_pki: Path) -> None:
    """While both are trusted, and while the new one's certificates come; the third run completes it."""
    (old,) = bundle("etcd")
    with clients.watched("CA of etcd, killed twice", GAP_SECONDS):
        killed("rotate_ca=etcd", when="Roll changes through the masters")
        assert [bundle("etcd")[0], len(bundle("etcd"))] == [old, 2]
        killed("rotate_ca=etcd", when="TASK [Look for tokens")
        assert [bundle("etcd")[1], len(bundle("etcd"))] == [old, 2]
        rotate("rotate_ca=etcd")
    check_ca(lab, "etcd", old_pki)
    url = f"https://{address(MASTERS[0])}:2379/version"
    client = f"{MASTERS[0]}/etcdctl"
    assert curl("--cacert", PKI / "ca/etcd.crt", *pair(PKI, client), url) == "200"
    assert curl("--cacert", PKI / "ca/etcd.crt", *pair(old_pki, client), url) == "000"
    assert curl("--cacert", old_pki / "ca/etcd.crt", *pair(PKI, client), url) == "000"
    everything_is_well(lab, tmp_path)


def test_ca_of_kubernetes(lab: Lab, clients: Clients, tmp_path: Path, old_pki: Path) -> None:
    """Pods go on: those that read the CA each time, and client-go, which reads it each five minutes."""
    with clients.watched("CA of kubernetes", GAP_SECONDS):
        rotate("rotate_ca=kubernetes", f"rotate_settle_seconds={SETTLE}")
    check_ca(lab, "kubernetes", old_pki)
    url = f"https://{address(MASTERS[0])}:6443/api"
    assert curl("--cacert", PKI / "ca/kubernetes.crt", *pair(PKI, "admin"), url) == "200"
    assert curl("--cacert", PKI / "ca/kubernetes.crt", *pair(old_pki, "admin"), url) == "401"
    assert curl("--cacert", old_pki / "ca/kubernetes.crt", *pair(PKI, "admin"), url) == "000"
    everything_is_well(lab, tmp_path)


@pytest.mark.parametrize("ca", ["front-proxy", "outside"])
def test_other_cas(lab: Lab, clients: Clients, tmp_path: Path, old_pki: Path, ca: str) -> None:
    """Extension API servers (kubectl top), and the registry and artifact store."""
    with clients.watched(f"CA of {ca}", GAP_SECONDS):
        rotate(f"rotate_ca={ca}")
    check_ca(lab, ca, old_pki)
    everything_is_well(lab, tmp_path)
    if ca == "outside":
        image = lab.get("deployment --namespace=kube-system coredns")["spec"]["template"]["spec"]["containers"][0][
            "image"
        ]
        lab.run(WORKERS[0], f"ctr --namespace=lab-test images pull --hosts-dir=/etc/containerd/certs.d {image}")


def stored_names(lab: Lab) -> set[str]:
    """Names of the keys that secrets are stored with."""
    get = "etcdctl get /registry/secrets/ --prefix --print-value-only"
    return set(
        lab.run(MASTERS[0], f"{get} | grep --text --only-matching 'k8s:enc:secretbox:v1:[^:]*' | sort -u").split()
    )


def test_encryption_key(lab: Lab, clients: Clients, namespace: str, tmp_path: Path) -> None:
    """Secrets are as they were, stored with the new key; the old one is on no host."""
    for number in range(50):
        lab.kubectl(f"create secret generic s{number} --namespace={namespace} --from-literal=a={'x' * number}-")
    data = "get secrets --all-namespaces --output=jsonpath='{range .items[*]}{.metadata.name}{.data}{end}'"
    key = PKI / "keys/encryption-key"
    old, before = key.read_text().strip(), lab.kubectl(f"{data} --field-selector=metadata.name!=counted")
    assert stored_names(lab) == {f"k8s:enc:secretbox:v1:{random_id(old.encode())}"}
    with clients.watched("encryption key", GAP_SECONDS):
        rotate("rotate_keys=encryption")
    new = key.read_text().strip()
    assert new != old
    assert stored_names(lab) == {f"k8s:enc:secretbox:v1:{random_id(new.encode())}"}
    assert lab.kubectl(f"{data} --field-selector=metadata.name!=counted") == before
    for name in MASTERS:
        assert lab[name].run(f"grep -rlF {old} /etc").stdout == ""
    everything_is_well(lab, tmp_path)


def test_service_account_key(lab: Lab, clients: Clients, namespace: str, tmp_path: Path) -> None:
    """The old key goes when no pod has a token of it any more, and not before."""
    where = f"--namespace={namespace}"
    public = PKI / "keys/sa.pub"
    old = key_id(public.read_bytes())
    token = lab.kubectl(f"create token default {where} --duration=2h").strip()
    ask = f"--server=https://127.0.0.1:6443 --certificate-authority=/etc/kubernetes/pki/ca.crt --token={token} {where}"
    with clients.watched("service account key", GAP_SECONDS):
        output = rotate("rotate_keys=service-account")
    assert "Tokens are signed with the new key. Pods have tokens that only the old key can prove" in output
    assert f"{namespace}/in-cluster has a token that the old key signed" in output
    code, output = playbook("rotate_certificates", "rotate_keys=service-account")
    assert code == 2
    assert "Nothing was changed. Pods have tokens that only the old key can prove" in output
    assert old in [key_id(block) for block in PUBLIC.findall(public.read_bytes())]
    client = "kubectl --kubeconfig=/dev/null get secret counted"
    assert lab[OPERATOR].run(f"{client} {ask}").rc == 0
    # What an hour does.
    restart_kubelets(lab, NODES)
    folders = "/var/lib/kubelet/pods/*/volumes/kubernetes.io~projected/*/token"

    def renewed() -> bool:
        return not any(age_of(lab, node, folders) for node in NODES)

    wait_until(renewed, 180, "all pods have new tokens")
    time.sleep(70)  # client-go reads its token again each minute
    with clients.watched("service account key, the old one dropped", GAP_SECONDS):
        rotate("rotate_keys=service-account")
    assert old not in [key_id(block) for block in PUBLIC.findall(public.read_bytes())]
    assert "Unauthorized" in lab[OPERATOR].run(f"{client} {ask}").stderr
    everything_is_well(lab, tmp_path)


def age_of(lab: Lab, node: str, tokens: str) -> list[str]:
    """Tokens on a node that are older than its kubelet."""
    began = lab.run(node, "stat --format=%Y /proc/$(systemctl show --property=MainPID --value kubelet)").strip()
    return lab.run(node, f"find {tokens} -follow ! -newermt @{began}").split()
