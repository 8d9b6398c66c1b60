# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why no API server answers: one cause of many symptoms."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._health.model import Seen
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._health.outage import outage
from ansible_collections.selfhosted.kubernetes.tests.unit.plugins.plugin_utils._health.world import (
    MASTERS,
    NOW,
    Cluster,
    der,
    disk,
)

TAKEN = (
    'E1126 12:00:00.000000 1 run.go:72] "command failed" err="failed to create listener: failed to listen on '
    '0.0.0.0:6443: listen tcp 0.0.0.0:6443: bind: address already in use"'
)
LISTENER = 'LISTEN 0 5 0.0.0.0:6443 0.0.0.0:* users:(("python3",pid=4711,fd=3))'
EXPIRED = "x509: certificate has expired or is not yet valid: current time 2026-11-25T03:00:00Z is after"


def down(cluster: Cluster, name: str, *hosts: str, active: str = "activating", **said: Any) -> None:
    """A component that does not run, as its hosts say, with what follows from that for API servers."""
    for host in hosts or MASTERS:
        cluster.component(host, name).update(active=active, sub="auto-restart", complaint="refused", **said)
    for host in MASTERS:
        if host in cluster.hosts:
            cluster.hosts[host]["api"] = {"error": "OSError: refused"}
            cluster.component(host, "kube-apiserver").update(complaint="refused")
            if name == "etcd":
                cluster.hosts[host]["etcd"] = {"error": "`etcdctl endpoint status`: no answer"}


def why(cluster: Cluster) -> tuple[str, str]:
    """Code and object."""
    found = outage(Seen(cluster.groups, cluster.hosts, cluster.silent), NOW)
    return found.get("code", ""), found.get("object", "")


def verdict(cluster: Cluster) -> str:
    """The sentence."""
    return str(outage(Seen(cluster.groups, cluster.hosts, cluster.silent), NOW)["verdict"])


def test_none_while_one_api_server_answers(cluster: Cluster) -> None:
    """Whatever else is down."""
    assert why(cluster) == ("", "")
    down(cluster, "kube-apiserver", "m1", "m2")
    cluster.hosts["m3"] = cluster.host("m3")
    assert why(cluster) == ("", "")


def test_stopped(cluster: Cluster) -> None:
    """By somebody: its last words are about another time."""
    down(cluster, "kube-apiserver", active="inactive", journal=[TAKEN], listeners=[LISTENER])
    assert why(cluster) == ("ApiServerStopped", "component/kube-apiserver")
    assert verdict(cluster) == "kube-apiserver is stopped on m1, m2, m3"


def test_etcd_is_the_cause_of_its_api_servers(cluster: Cluster) -> None:
    """Two of three are stopped: the third has no leader, and no API server is ready."""
    down(cluster, "etcd", "m1", "m2", active="inactive")
    cluster.component("m3", "etcd").update(complaint="no leader")
    assert why(cluster) == ("EtcdStopped", "component/etcd")
    assert verdict(cluster) == "etcd is stopped on m1, m2"


def test_an_api_server_that_answers_from_its_cache_is_none(cluster: Cluster) -> None:
    """It gives nodes and pods without etcd, and is not ready."""
    down(cluster, "etcd", active="inactive")
    for host in MASTERS:
        cluster.hosts[host]["api"] = {"version": "v1.37.2", "objects": cluster.objects}
    assert why(cluster) == ("EtcdStopped", "component/etcd")


def test_etcd_without_a_majority(cluster: Cluster) -> None:
    """Its other members' hosts are off."""
    down(cluster, "etcd", "m3", active="active")
    cluster.off("m1", "m2")
    assert why(cluster) == ("EtcdNoMajority", "host/m1,m2")


def test_no_master_is_there(cluster: Cluster) -> None:
    """Nothing of them is known."""
    cluster.off(*MASTERS)
    assert why(cluster) == ("MastersUnreachable", "host/m1,m2,m3")
    assert "Connection timed out" in verdict(cluster)


def test_a_port_is_taken(cluster: Cluster) -> None:
    """By whom, too, where the host says so."""
    down(cluster, "kube-apiserver", journal=["failed a", TAKEN], listeners=[LISTENER])
    assert why(cluster) == ("PortTaken", "port/m1:6443")
    assert "python3 (process 4711) has its port 6443" in verdict(cluster)
    down(cluster, "kube-apiserver", journal=[TAKEN], listeners=[])
    assert "another program has its port 6443" in verdict(cluster)


@pytest.mark.parametrize(
    ("found", "words", "code"),
    [
        (disk("/var/lib/etcd", used=100), [], "DiskFull"),
        (disk("/var/lib/etcd", inodes=1000), ["open .touch: no space left on device"], "DiskFull"),
        (disk("/var/lib/etcd", read_only=True), ["open .touch: read-only file system"], "DiskReadOnly"),
        (disk("/"), ["write wal: no space left on device"], "DiskFull"),
        (disk("/"), ["open wal: read-only file system"], "DiskReadOnly"),
    ],
)
def test_a_disk(cluster: Cluster, found: dict[str, Any], words: list[str], code: str) -> None:
    """Full or read-only, by its state or by what etcd says of it."""
    if found["used_inodes"] == 1000000:
        found["free_inodes"] = 0
    cluster.hosts["m1"]["disks"] = [disk("/"), found] if found["path"] != "/" else [found]
    down(cluster, "etcd", journal=words)
    assert why(cluster) == (code, f"disk/m1:{found['path']}")


def test_another_disk_that_is_full_is_not_the_cause(cluster: Cluster) -> None:
    """Of logs: etcd does not write there."""
    cluster.hosts["m1"]["disks"] = [disk("/"), disk("/var/log", used=100)]
    down(cluster, "etcd", active="inactive")
    assert why(cluster)[0] == "EtcdStopped"


def test_a_certificate_has_ended(cluster: Cluster) -> None:
    """Named by its file: of the API server, and of etcd while the API server alone complains."""
    for owner, path in (("kube-apiserver", "/etc/kubernetes/pki/apiserver.crt"), ("etcd", "/etc/etcd/pki/server.crt")):
        cluster.hosts["m1"]["certificates"]["files"] = [
            {"path": "/etc/kubernetes/kubelet/client.crt", "components": ["kubelet"], "der": der("a", -3, 360, False)},
            {"path": path, "components": [owner], "der": der("b", -2, 360, False)},
        ]
        down(cluster, "kube-apiserver", active="active", journal=[EXPIRED])
        assert why(cluster) == ("CertificateEnded", f"certificate/m1:{path}")
        assert "ended on 2026-11-23 03:00 UTC" in verdict(cluster)


def test_a_certificate_that_nobody_trusts(cluster: Cluster) -> None:
    """None has ended."""
    down(cluster, "kube-apiserver", journal=["x509: certificate signed by unknown authority"])
    assert why(cluster) == ("CertificateRefused", "component/kube-apiserver")


def test_its_configuration(cluster: Cluster) -> None:
    """A flag that it does not know."""
    down(cluster, "kube-apiserver", journal=["Error: unknown flag: --colour"])
    assert why(cluster) == ("ConfigurationWrong", "component/kube-apiserver")
    assert "--colour" in verdict(cluster)


def test_its_data(cluster: Cluster) -> None:
    """Files that etcd cannot read."""
    down(cluster, "etcd", "m1", journal=["panic: walpb: crc mismatch"])
    assert why(cluster) == ("EtcdDataDamaged", "host/m1")


def test_etcd_speaks_json(cluster: Cluster) -> None:
    """Its sentence is what counts, without place and stack."""
    line = '{"level":"fatal","caller":"etcd.go:157","msg":"discovery failed","error":"the moon is \\"wrong\\"","stack'
    down(cluster, "etcd", journal=[line])
    assert why(cluster) == ("EtcdDown", "component/etcd")
    assert verdict(cluster) == 'etcd does not work on m1, m2, m3: discovery failed: the moon is \\"wrong\\"'


def test_what_nobody_thought_of(cluster: Cluster) -> None:
    """Its last words; without any, its state; and an answer that is not understood."""
    down(cluster, "kube-apiserver", journal=["fatal: the moon is wrong"])
    assert why(cluster)[0] == "ApiServerDown"
    assert verdict(cluster).endswith("fatal: the moon is wrong")
    del cluster.hosts["m2"]["components"]["kube-apiserver"]["unit"]
    assert why(cluster)[0] == "Unknown"


def test_the_way_to_it(cluster: Cluster) -> None:
    """All load balancers of masters are down, and nothing else."""
    for host in MASTERS:
        cluster.component(host, "kube-loadbalancer").update(active="failed")
    assert why(cluster) == ("LoadBalancerDown", "component/kube-loadbalancer")
