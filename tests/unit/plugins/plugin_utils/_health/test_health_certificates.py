# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is found of certificates: in files of hosts and control node, and as they are served."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from ansible_collections.selfhosted.kubernetes.tests.unit.plugins.plugin_utils._health.world import Cluster, der
from cryptography import x509
from cryptography.hazmat.primitives import serialization

FILE = "/etc/kubernetes/kubelet/client.crt"
RENEW = "ansible-playbook … site.yml --limit w1 renews and installs"


@pytest.mark.parametrize(
    ("days", "level", "text"),
    [
        (-1, "failure", "ENDED on 2026-11-24 03:00 UTC"),
        (6.5, "failure", "ends in 6 days"),
        (29.5, "warning", "ends in 29 days"),
        (31, None, ""),
    ],
)
def test_a_certificate_of_a_year(cluster: Cluster, days: float, level: str | None, text: str) -> None:
    """Ended, about to, soon, and not yet."""
    cluster.holds("w1", FILE, days)
    assert cluster.findings() == ([(level, "certificates", "w1", f"{FILE} {text}", RENEW)] if level else [])


@pytest.mark.parametrize(("days", "level"), [(0.5, "failure"), (4, "warning"), (5, None)])
def test_a_certificate_of_two_weeks(cluster: Cluster, days: float, level: str | None) -> None:
    """Its limits are a twelfth and a third of its life."""
    cluster.holds("w1", FILE, days, life=14)
    assert [it[0] for it in cluster.findings()] == ([level] if level else [])


def test_many_on_a_host_are_one_finding(cluster: Cluster) -> None:
    """The first to end come first."""
    for number in (5, 4, 3, 2, 1):
        cluster.holds("w1", f"/etc/{number}.crt", number + 0.5)
    what = "/etc/1.crt ends in 1 day, /etc/2.crt ends in 2 days, /etc/3.crt ends in 3 days and 2 more"
    assert cluster.findings() == [("failure", "certificates", "w1", what, RENEW)]


def test_a_certificate_of_the_future(cluster: Cluster) -> None:
    """Somebody's clock is wrong."""
    cluster.holds("w1", FILE, 400)
    what = f"{FILE} is not valid before 2027-01-04 03:00:00+00:00"
    assert cluster.findings() == [("failure", "certificates", "w1", what, "check clocks")]


@pytest.mark.parametrize(("days", "level"), [(29, "failure"), (179, "warning"), (181, None)])
def test_an_authority(cluster: Cluster, tmp_path: Path, days: int, level: str | None) -> None:
    """One finding for all that trust it; the control node's file has the name that rotates it."""
    found = cluster.holds("w1", "/etc/etcd/pki/ca.crt", days, life=3650, authority=True)
    cluster.hosts["w2"]["certificates"]["files"] = cluster.hosts["w1"]["certificates"]["files"]
    (tmp_path / "ca").mkdir()
    certificate = x509.load_der_x509_certificate(base64.b64decode(found))
    (tmp_path / "ca/etcd.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    cluster.pki_dir = tmp_path
    what = f"CA CN=/etc/etcd/pki/ca.crt (ca/etcd.crt) ends in {days} days"
    todo = "rotate_certificates.yml -e rotate_ca=etcd: docs/operations/rotate-certificates.md"
    expected = [(level, "certificates", "control node,w1,w2", what, todo)]
    assert cluster.findings() == (expected if level else [])


def test_a_file_of_the_control_node_is_broken(cluster: Cluster, tmp_path: Path) -> None:
    """It is named."""
    (tmp_path / "certs").mkdir()
    (tmp_path / "certs/api.crt").write_text("nonsense")
    cluster.pki_dir = tmp_path
    found = cluster.findings()
    assert [it[:3] for it in found] == [("failure", "certificates", "control node")]
    assert found[0][3].startswith(f"{tmp_path}/certs/api.crt cannot be read: ")


def test_a_process_serves_what_its_files_no_longer_hold(cluster: Cluster) -> None:
    """It has to be restarted to use the new one."""
    cluster.holds("w1", FILE, 300)
    served = {"address": "127.0.0.1:10250", "component": "kubelet", "der": der("old", 100, 360, authority=False)}
    cluster.hosts["w1"]["certificates"]["served"] = [served]
    what = "kubelet at 127.0.0.1:10250 serves a certificate that is in none of its files"
    todo = "on w1: systemctl restart kubelet.service"
    assert cluster.findings() == [("warning", "certificates", "w1", what, todo)]


def test_a_process_that_serves_none(cluster: Cluster) -> None:
    """A finding while it runs; when it does not, that is one already."""
    served = {"address": "127.0.0.1:10250", "component": "kubelet", "complaint": "[Errno 111] Connection refused"}
    cluster.hosts["w1"]["certificates"]["served"] = [served]
    what = "kubelet at 127.0.0.1:10250 serves no certificate: [Errno 111] Connection refused"
    todo = "on w1: journalctl -u kubelet.service -n 50"
    assert cluster.findings() == [("failure", "certificates", "w1", what, todo)]
    cluster.component("w1", "kubelet").update(active="failed", sub="failed")
    assert {it[1] for it in cluster.findings()} == {"components"}


def test_files_that_cannot_be_read(cluster: Cluster) -> None:
    """Of a host whose disk hangs."""
    cluster.hosts["w1"]["certificates"]["files"] = {"error": "no answer within 7 s"}
    what = "files with certificates cannot be read: no answer within 7 s"
    assert cluster.findings() == [("failure", "certificates", "w1", what, "ansible-playbook … site.yml --limit w1")]
