# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A site run renews a kubelet's certificates that are about to expire, under running pods."""

from __future__ import annotations

import ssl
from datetime import timedelta
from pathlib import Path

from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._pki.certificate import Wanted, utc_now
from ansible_collections.selfhosted.kubernetes.tests.lab.aged import age
from ansible_collections.selfhosted.kubernetes.tests.lab.support import (
    MACHINES,
    MASTERS,
    OUTSIDE,
    WORKERS,
    Lab,
    address,
    agnhost,
    docker,
    inventory,
    site,
    wait_until,
)
from cryptography import x509

NODE = WORKERS[-1]
USER = f"system:node:{NODE}"
# Each ends in four hours.
LIFE_DAYS, PASSED = 1, timedelta(hours=20)
PAIRS = {
    "client": Wanted(f"{NODE}/kubelet-client", "kubernetes", USER, ("client",), ("system:nodes",)),
    "server": Wanted(f"{NODE}/kubelet-server", "kubernetes", USER, ("server",), (), (NODE,), (address(NODE),)),
}


def let_them_be_old(lab: Lab) -> None:
    """On the control node and on the host, whose kubelet runs with them."""
    for name, wanted in PAIRS.items():
        for kind, file in age(wanted, LIFE_DAYS, PASSED).items():
            docker("cp", str(file), f"{NODE}:/etc/kubernetes/kubelet/{name}.{kind}")
    lab.run(NODE, "systemctl restart kubelet")
    wait_until(lambda: lab[NODE].run("curl --fail http://127.0.0.1:10248/healthz").rc == 0, 30, "the kubelet runs")


def in_use(lab: Lab) -> dict[str, x509.Certificate]:
    """The certificate that the kubelet serves, and the one that it asks the API with."""
    shown = ssl.get_server_certificate((address(NODE), 10250), timeout=5)
    file = lab.run(NODE, "cat /etc/kubernetes/kubelet/client.crt")
    return {name: x509.load_pem_x509_certificate(text.encode()) for name, text in (("server", shown), ("client", file))}


def test_a_kubelets_certificates_are_renewed(lab: Lab, namespace: str, tmp_path: Path) -> None:
    """Both, in one run that changes nothing else; the kubelet uses them, and its pods were not touched."""
    lab.apply(agnhost("stays", namespace, NODE))
    lab.kubectl(f"wait --namespace={namespace} --for=condition=Ready --timeout=60s pod/stays")
    pod = f"pod --namespace={namespace} stays"
    let_them_be_old(lab)
    old, before, container = in_use(lab), lab.started(), lab.get(pod)["status"]["containerStatuses"][0]
    assert all(it.not_valid_after_utc < utc_now() + timedelta(days=1) for it in old.values())
    run = site(tmp_path)
    new, after = in_use(lab), lab.started()
    # The certificates are those of the control node, where the first host's task issues them all.
    # Where there are backups, they get them from there.
    saves = "backup" in inventory()["_meta"]["hostvars"][NODE].get("cluster_outside_services", [])
    changed = {NODE, MASTERS[0], *(OUTSIDE if saves else [])}
    assert run.changed == {name: int(name in changed) for name in MACHINES}
    assert all(it.not_valid_after_utc > utc_now() + timedelta(days=300) for it in new.values())
    assert {name for name in MACHINES if after[name] != before[name]} == {NODE}
    assert {unit for unit in after[NODE] if after[NODE][unit] != before[NODE][unit]} == {"kubelet.service"}
    # With the new ones it is known to the API, and known to it.
    lab.kubectl(f"exec --namespace={namespace} stays -- /agnhost help")
    lease = f"lease --namespace=kube-node-lease {NODE}"
    renewed = lab.get(lease)["spec"]["renewTime"]
    wait_until(lambda: bool(lab.get(lease)["spec"]["renewTime"] > renewed), 30, "the node's heartbeat goes on")
    now = lab.get(pod)["status"]["containerStatuses"][0]
    assert {key: now[key] for key in ("containerID", "restartCount")} == {
        "containerID": container["containerID"],
        "restartCount": 0,
    }
