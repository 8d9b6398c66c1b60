# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything is rotated once while users and programs in pods are at work."""

from __future__ import annotations

import os
import shutil
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._pki.certificate import Wanted, utc_now
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._pki.keys import PUBLIC, random_id
from ansible_collections.selfhosted.kubernetes.tests.lab.aged import age
from ansible_collections.selfhosted.kubernetes.tests.lab.support import (
    CA,
    FOLDER,
    MACHINES,
    MASTERS,
    PKI,
    WORKERS,
    Lab,
    address,
    playbook,
    site,
    wait_until,
)
from ansible_collections.selfhosted.kubernetes.tests.rotate.rotations import (
    LISTEN,
    TOKEN_SETTLE,
    bundle,
    everything_is_well,
    numbers,
    rotate,
    served,
)
from ansible_collections.selfhosted.kubernetes.tests.rotate.watch import Watch

# Kube-controller-manager was restarted by the run; the next one leads when its lease has ended (15 s).
PUBLISHED_SECONDS = 60
# As the playbook does by itself; less is for trying things out.
SETTLE = os.environ.get("ROTATE_SETTLE_SECONDS", "300")


def test_site_renews_what_is_close_to_its_end(lab: Lab, tmp_path: Path) -> None:
    """One certificate with a sixth of its life left, and nothing else."""
    node, now = WORKERS[0], utc_now()
    before = numbers()
    wanted = Wanted(
        f"{node}/kubelet-server", "kubernetes", f"system:node:{node}", ("server",), (), (node,), (address(node),)
    )
    age(wanted, 30, timedelta(days=25))
    site(tmp_path)
    after = numbers()
    assert {place for place in before if before[place] != after[place]} == {(node, 10250)}
    assert served("kubernetes")[node, 10250].not_valid_after_utc > now + timedelta(days=300)
    everything_is_well(lab, tmp_path)


@pytest.mark.parametrize("variables", [(), ("rotate_ca=etcd",), ("rotate_keys=encryption",)])
def test_check_mode_tells_of_it(variables: tuple[str, ...]) -> None:
    """And changes nothing."""
    before, files = numbers(), {path: path.read_bytes() for path in PKI.rglob("*") if path.is_file()}
    code, output = playbook("rotate_certificates", *variables, check=True)
    assert code == 0, output[-5000:]
    assert f"changed: [{MASTERS[0]}]" in output
    assert numbers() == before
    assert {path: path.read_bytes() for path in PKI.rglob("*") if path.is_file()} == files


def test_all_certificates(lab: Lab, watch: Watch, tmp_path: Path) -> None:
    """Each process shows another one, by the same CAs."""
    before, cas = numbers(), {ca: bundle(ca) for ca in LISTEN}
    with watch.watched("all certificates"):
        rotate()
    after = numbers()
    assert not [place for place in before if before[place] == after[place]]
    assert {ca: bundle(ca) for ca in LISTEN} == cas
    everything_is_well(lab, tmp_path)


def check_ca(lab: Lab, namespace: str, ca: str, old_pki: Path) -> None:
    """The new CA is the only one: who shows a certificate has one of it, who checks one takes none of the old one."""
    (old,), (new,) = bundle(ca, old_pki), bundle(ca)
    for place, certificate in served(ca).items():
        certificate.verify_directly_issued_by(new)
        assert certificate.issuer != old.issuer, place
    pem = old_pki.joinpath(f"ca/{ca}.crt").read_text().splitlines()[1]
    for name in MACHINES:
        assert lab[name].run(f"grep -rlF {pem} /etc").stdout == ""
    # Without the thousands that the writer made.
    places = [f"-A --field-selector=metadata.namespace!={namespace}", f"--namespace={namespace} kube-root-ca.crt"]
    wait_until(
        lambda: not any(pem in lab.kubectl(f"get configmaps {place} --output=yaml") for place in places),
        PUBLISHED_SECONDS,
        "the controller manager that leads has published what pods trust",
    )
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


def test_ca_of_etcd(lab: Lab, watch: Watch, tmp_path: Path, old_pki: Path) -> None:
    """Members and API servers go on one by one."""
    with watch.watched("CA of etcd"):
        rotate("rotate_ca=etcd")
    check_ca(lab, watch.users.namespace, "etcd", old_pki)
    url = f"https://{address(MASTERS[0])}:2379/version"
    client = f"{MASTERS[0]}/etcdctl"
    assert curl("--cacert", PKI / "ca/etcd.crt", *pair(PKI, client), url) == "200"
    assert curl("--cacert", PKI / "ca/etcd.crt", *pair(old_pki, client), url) == "000"
    assert curl("--cacert", old_pki / "ca/etcd.crt", *pair(PKI, client), url) == "000"
    everything_is_well(lab, tmp_path)


def test_ca_of_kubernetes(lab: Lab, watch: Watch, tmp_path: Path, old_pki: Path) -> None:
    """Pods go on: those that read the CA each time, and client-go, which reads it each five minutes."""
    with watch.watched("CA of kubernetes"):
        rotate("rotate_ca=kubernetes", f"rotate_settle_seconds={SETTLE}")
    check_ca(lab, watch.users.namespace, "kubernetes", old_pki)
    url = f"https://{address(MASTERS[0])}:6443/api"
    assert curl("--cacert", PKI / "ca/kubernetes.crt", *pair(PKI, "admin"), url) == "200"
    assert curl("--cacert", PKI / "ca/kubernetes.crt", *pair(old_pki, "admin"), url) == "401"
    assert curl("--cacert", old_pki / "ca/kubernetes.crt", *pair(PKI, "admin"), url) == "000"
    everything_is_well(lab, tmp_path)


@pytest.mark.parametrize("ca", ["front-proxy", "outside"])
def test_other_cas(lab: Lab, watch: Watch, tmp_path: Path, old_pki: Path, ca: str) -> None:
    """Extension API servers (kubectl top), and the registry and artifact store."""
    with watch.watched(f"CA of {ca}"):
        rotate(f"rotate_ca={ca}")
    check_ca(lab, watch.users.namespace, ca, old_pki)
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


def test_encryption_key(lab: Lab, watch: Watch, namespace: str, tmp_path: Path) -> None:
    """Secrets are as they were, stored with the new key; the old one is on no host."""
    for number in range(50):
        lab.kubectl(f"create secret generic s{number} --namespace={namespace} --from-literal=a={'x' * number}-")
    every = "get secrets --all-namespaces --output=jsonpath='{range .items[*]}{.metadata.name}{.data}{end}'"
    key = PKI / "keys/encryption-key"
    old, before = key.read_text().strip(), lab.kubectl(every)
    assert stored_names(lab) == {f"k8s:enc:secretbox:v1:{random_id(old.encode())}"}
    with watch.watched("encryption key"):
        rotate("rotate_keys=encryption")
    new = key.read_text().strip()
    assert new != old
    assert stored_names(lab) == {f"k8s:enc:secretbox:v1:{random_id(new.encode())}"}
    assert lab.kubectl(every) == before
    for name in MASTERS:
        assert lab[name].run(f"grep -rlF {old} /etc").stdout == ""
    everything_is_well(lab, tmp_path)


def test_service_account_key(lab: Lab, watch: Watch, namespace: str, tmp_path: Path) -> None:
    """Pods get tokens of the new one before the old one goes; what no kubelet replaces ends with it."""
    token = lab.kubectl(f"create token default --namespace={namespace} --duration=2h").strip()
    ask = f"--server=https://127.0.0.1:6443 --certificate-authority={CA} --token={token}"
    whoami = f"kubectl --kubeconfig=/dev/null auth whoami {ask}"
    public = PKI / "keys/sa.pub"
    old = public.read_bytes()
    assert lab[MASTERS[0]].run(whoami).rc == 0
    with watch.watched("service account key"):
        rotate("rotate_keys=service-account", TOKEN_SETTLE)
    assert len(PUBLIC.findall(public.read_bytes())) == 1
    assert public.read_bytes() != old
    assert "Unauthorized" in lab[MASTERS[0]].run(whoami).stderr
    everything_is_well(lab, tmp_path)
