# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who gets in, and what can be read by whom."""

from __future__ import annotations

import base64
import json
import re
import secrets
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.tests.lab.support import FOLDER, MASTERS, PKI, WORKERS, Lab, address
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

VALUE = f"correct-horse-{secrets.token_hex(8)}"
ENCODED = base64.b64encode(VALUE.encode()).decode()
STATUS = "curl --silent --insecure --output /dev/null --max-time 5 --write-out '%%{http_code}' %s"
# With TLS 1.2 the refusal is part of the handshake; with 1.3 it comes after it, and may be lost in a reset connection.
HANDSHAKE = "curl --silent --show-error --insecure --tls-max 1.2 --max-time 5"
# Whose a key is, by the longest beginning of its path; root's where nothing is said.
OWNERS = {
    "/etc/artifact-store/": "artifact-store",
    "/etc/etcd/pki/": "etcd",
    "/etc/etcd/pki/etcdctl.key": "root",
    "/etc/journal-upload/": "systemd-journal-upload",
    "/etc/kubernetes-events/": "kubernetes-events",
    "/etc/kubernetes/kube-apiserver/": "kube-apiserver",
    "/etc/kubernetes/kube-controller-manager/": "kube-controller-manager",
    "/etc/kubernetes/kube-scheduler/": "kube-scheduler",
    "/etc/kubernetes/pki/": "kube-apiserver",
    "/etc/kube-state-metrics/": "kube-state-metrics",
    "/etc/logging/": "victoria-logs",
    "/etc/monitoring/": "prometheus",
    "/etc/registry/": "registry",
    "/etc/status-page/": "status-page",
    "/etc/vlagent/": "vlagent",
    "/var/lib/git/": "git",
}
# Keys as PEM files, inside of kubeconfigs and Secrets (base64 of "-----BEGIN [EC|RSA] PRIVATE"), and the key of
# secrets at rest.
KEY = "PRIVATE KEY-----|client-key-data:|LS0tLS1CRUdJTiBQUklWQVRF|LS0tLS1CRUdJTiBF|LS0tLS1CRUdJTiBSU0Eg|secretbox:"
PLACES = "/etc /home /opt /root /srv /tmp /usr/local /var"
# Pods' own volumes and images are not the hosts' files.
NOT_IN = "containerd kubelet registry"


@pytest.fixture(scope="module")
def secret(lab: Lab, namespace: str) -> str:
    """A Secret that holds VALUE."""
    name = "lab-secret"
    lab.kubectl(f"create secret generic {name} --namespace={namespace} --from-literal=password=%s", VALUE)
    return name


def test_secret_is_readable_for_its_users(lab: Lab, namespace: str, secret: str) -> None:
    """The API server decrypts it."""
    assert lab.get(f"secret --namespace={namespace} {secret}")["data"] == {"password": ENCODED}


def test_secret_is_unreadable_in_etcd(lab: Lab, namespace: str, secret: str, master: str) -> None:
    """Each member has only the encrypted form."""
    get = f"etcdctl --endpoints=https://{address(master)}:2379 get --print-value-only"
    stored = base64.b64decode(lab.run(master, f"{get} /registry/secrets/{namespace}/{secret} | base64 --wrap=0"))
    assert stored.startswith(b"k8s:enc:secretbox:v1:")
    assert VALUE.encode() not in stored
    assert ENCODED.encode() not in stored


def test_other_objects_are_readable_in_etcd(lab: Lab, namespace: str) -> None:
    """So the test above looks at the right place."""
    get = f"etcdctl get --print-value-only /registry/namespaces/{namespace}"
    lab.run(MASTERS[0], f"{get} | grep --text --quiet {namespace}")


def test_audit_log_tells_of_the_secret_but_not_its_value(lab: Lab, namespace: str, secret: str) -> None:
    """One API server noted who made it; none wrote what is in it."""
    found = []
    for master in MASTERS:
        lines = lab[master].run("grep --fixed-strings --no-filename %s /var/log/kubernetes/*.log", f'"{namespace}"')
        found += [json.loads(line) for line in lines.stdout.splitlines()]
        for word in (VALUE, ENCODED):
            leaked = lab[master].run("grep --recursive --quiet --fixed-strings %s /var/log/kubernetes", word)
            assert leaked.rc == 1, master
    made = [event for event in found if event["verb"] == "create" and event["objectRef"].get("name") == secret]
    assert [event["user"]["username"] for event in made] == ["kubernetes-admin"]
    assert made[0]["level"] == "Metadata"


def test_audit_log_is_written_and_private(lab: Lab, master: str) -> None:
    """By each API server; read by it and root alone."""
    file = lab[master].file("/var/log/kubernetes/audit.log")
    assert file.size > 0
    assert (file.user, file.mode) == ("kube-apiserver", 0o600)


def test_journal_never_shows_the_secret(lab: Lab, secret: str, machine: str) -> None:
    """Nor any other log of a host."""
    assert secret
    assert lab[machine].run("grep --recursive --quiet --fixed-strings --exclude-dir=pods %s /var/log", VALUE).rc == 1


@pytest.mark.parametrize("path", ["/api", "/apis", "/version", "/metrics", "/api/v1/nodes", "/livez/etcd"])
def test_anonymous_request_is_refused(lab: Lab, master: str, path: str) -> None:
    """Without certificate and token nothing can be asked."""
    assert lab.operator.run(STATUS, f"https://{address(master)}:6443{path}").stdout in {"401", "403"}


@pytest.mark.parametrize("path", ["/readyz", "/livez", "/healthz"])
def test_anonymous_request_for_health_is_answered(lab: Lab, master: str, path: str) -> None:
    """Load balancers ask."""
    assert lab.operator.run(STATUS, f"https://{address(master)}:6443{path}").stdout == "200"


def test_kubelet_refuses_the_anonymous(lab: Lab, node: str) -> None:
    """And its port for reading is closed."""
    for path in ("pods", "metrics", "healthz", "exec/x/y/z"):
        assert lab.operator.run(STATUS, f"https://{address(node)}:10250/{path}").stdout == "401"
    assert lab.operator.run(STATUS, f"http://{address(node)}:10255/pods").stdout == "000"


@pytest.mark.parametrize("port", [2379, 2380])
def test_etcd_refuses_a_client_without_certificate(lab: Lab, master: str, port: int) -> None:
    """In the TLS handshake, before anything is asked."""
    done = lab.operator.run(f"{HANDSHAKE} %s", f"https://{address(master)}:{port}/version")
    assert done.rc == 35
    assert "alert handshake failure" in done.stderr


def test_etcd_refuses_a_certificate_of_another_authority(lab: Lab, master: str) -> None:
    """A kubelet's does not open the database."""
    done = lab[WORKERS[0]].run(
        f"{HANDSHAKE} --cert /etc/kubernetes/kubelet/client.crt --key /etc/kubernetes/kubelet/client.key %s",
        f"https://{address(master)}:2379/version",
    )
    assert done.rc == 35
    assert "alert unknown ca" in done.stderr


@pytest.mark.parametrize("port", [10257, 10259])
def test_control_plane_refuses_the_anonymous(lab: Lab, master: str, port: int) -> None:
    """Metrics of controller manager and scheduler are for those who may."""
    assert lab.operator.run(STATUS, f"https://{address(master)}:{port}/metrics").stdout in {"401", "403"}


def test_nothing_else_listens_to_the_network_without_tls(lab: Lab, machine: str) -> None:
    """What has no TLS is bound to the host itself, kube-proxy's health check aside: outside load balancers ask it."""
    lines = lab.run(machine, "ss --listening --tcp --numeric --no-header --processes").splitlines()
    answers = []
    for line in lines:
        local = line.split()[3]
        host, _, port = local.rpartition(":")
        if host.startswith(("127.", "[::1]")) or port == "22":
            continue
        answers.append((port, lab[machine].run(STATUS, f"http://{address(machine)}:{port}/metrics").stdout))
    # 400: "Client sent an HTTP request to an HTTPS server"; 000: the connection is closed.
    assert {port for port, status in answers if status not in {"400", "000"}} <= {"10256"}


def node_request(lab: Lab, worker: str, method: str, path: str, body: Any = None) -> str:
    """HTTP status of a request that a worker makes with its kubelet's certificate."""
    data = [f"--header 'Content-Type: application/merge-patch+json' --data '{json.dumps(body)}'"] if body else []
    options = [
        "--silent --output /dev/null --write-out '%%{http_code}' --max-time 5",
        f"--request {method} --cacert /etc/kubernetes/pki/ca.crt",
        "--cert /etc/kubernetes/kubelet/client.crt --key /etc/kubernetes/kubelet/client.key",
        *data,
    ]
    return str(lab[worker].run(f"curl {' '.join(options)} %s", f"https://127.0.0.1:7443{path}").stdout)


def test_node_may_change_only_itself(lab: Lab) -> None:
    """NodeRestriction and the node authorizer."""
    own, other = WORKERS[:2]
    label = {"metadata": {"labels": {"lab-test": "x"}}}
    restricted = {"metadata": {"labels": {"node-restriction.kubernetes.io/x": "y"}}}
    try:
        assert node_request(lab, own, "PATCH", f"/api/v1/nodes/{other}", label) == "403"
        assert node_request(lab, own, "PATCH", f"/api/v1/nodes/{own}", restricted) == "403"
        assert node_request(lab, own, "PATCH", f"/api/v1/nodes/{own}", label) == "200"
    finally:
        lab.kubectl(f"label node {own} {other} lab-test-")


def test_node_may_not_read_a_secret_that_none_of_its_pods_has(lab: Lab, namespace: str, secret: str) -> None:
    """The node authorizer."""
    assert node_request(lab, WORKERS[0], "GET", f"/api/v1/namespaces/{namespace}/secrets/{secret}") == "403"
    assert node_request(lab, WORKERS[0], "GET", "/api/v1/secrets") == "403"


def keys(lab: Lab, machine: str) -> list[str]:
    """Files of a host that hold a key."""
    options = " ".join(f"--exclude-dir={name}" for name in NOT_IN.split())
    options += " --recursive --files-with-matches --binary-files=without-match --devices=skip --extended-regexp"
    done = lab[machine].run(f"grep {options} -e %s {PLACES}", KEY)
    # Documentation and programs of the distribution mention keys; logs are tested above.
    return [path for path in done.stdout.splitlines() if not path.startswith(("/var/lib/dpkg/", "/var/log/"))]


def owner(path: str) -> str:
    """Whose a key has to be."""
    beginnings = [beginning for beginning in OWNERS if path.startswith(beginning)]
    return OWNERS[max(beginnings, key=len)] if beginnings else "root"


def test_keys_are_private(lab: Lab, machine: str) -> None:
    """0600, and of the service that needs it."""
    found = keys(lab, machine)
    assert found
    output = lab.run(machine, f"stat --format='%n %a %U' {' '.join(found)}")
    assert [line for line in output.splitlines() if line != f"{line.split()[0]} 600 {owner(line.split()[0])}"] == []


def test_keys_of_authorities_are_on_no_host(lab: Lab, machine: str) -> None:
    """Neither as such nor in another file: no key of a host belongs to a CA's certificate."""
    certificates = [path.read_bytes() for path in (PKI / "ca").glob("*.crt")]
    keys_of_authorities = [x509.load_pem_x509_certificate(certificate).public_key() for certificate in certificates]
    authorities = {
        key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode() for key in keys_of_authorities
    }
    assert len(authorities) == 4
    pems = [path for path in keys(lab, machine) if path.endswith(".key")]
    output = lab.run(machine, f"for key in {' '.join(pems)}; do openssl pkey -in $key -pubout; done")
    public = re.findall(r"-----BEGIN PUBLIC KEY-----\n.*?-----END PUBLIC KEY-----\n", output, re.DOTALL)
    assert len(public) == len(pems)
    assert not set(public) & authorities


def test_keys_of_authorities_are_private_on_the_control_node() -> None:
    """Only the operator reads them."""
    found = list(PKI.rglob("*.key"))
    assert found
    assert {path.stat().st_mode & 0o777 for path in found} == {0o600}
    assert (FOLDER / "kubeconfig").stat().st_mode & 0o777 == 0o600
