# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Storage and volumes as their users see them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.selfhosted.kubernetes.scripts import dashboards
from ansible_collections.selfhosted.kubernetes.tests.lab.monitoring import query
from ansible_collections.selfhosted.kubernetes.tests.lab.support import (
    FOLDER,
    MASTERS,
    NODES,
    OPERATOR,
    OUTSIDE,
    STORAGE,
    WORKERS,
    Lab,
    playbook,
    site,
    wait_until,
)
from ansible_collections.selfhosted.kubernetes.tests.storage.support import (
    ceph,
    claim,
    healthy,
    of_claim,
    pod,
    start,
    volume_tester,
)

MOUNT = "/var/lib/cephfs"
METRICS = "/var/lib/node-exporter/cephfs.prom"


@pytest.fixture(scope="module")
def shared(lab: Lab, namespace: str) -> str:
    """A claim of class shared, bound."""
    lab.apply(claim("shared", namespace, "shared", "64Mi", "ReadWriteMany"))
    lab.kubectl(f"wait --namespace={namespace} --for=jsonpath=.status.phase=Bound --timeout=60s pvc/shared")
    return "shared"


def test_storage_is_healthy(lab: Lab) -> None:
    """HEALTH_OK with nothing muted, and every daemon there."""
    wait_until(lambda: healthy(lab), 120, "HEALTH_OK")
    status = ceph(lab, "status")
    assert status["quorum_names"] == STORAGE
    assert status["osdmap"]["num_up_osds"] == status["osdmap"]["num_in_osds"] == len(STORAGE)
    assert status["mgrmap"]["available"]
    assert status["fsmap"]["up"] == 1


def test_adding_it_is_quick() -> None:
    """A site run that adds it to a cluster that is there, with all that it does otherwise."""
    seconds = json.loads((FOLDER / "storage-added.json").read_text(encoding="utf-8"))["seconds"]
    print(f"\nsite.yml adds storage in {seconds:.0f} s")  # noqa: T201
    assert seconds <= 60


def test_copies_are_on_three_hosts(lab: Lab) -> None:
    """Each placement group has a copy on each host, and two are enough to go on."""
    # The last daemon that a site run restarted may still be catching up.
    wait_until(lambda: healthy(lab), 60, "HEALTH_OK")
    dump = ceph(lab, "osd dump")
    assert {(it["size"], it["min_size"]) for it in dump["pools"]} == {(3, 2)}
    tree = ceph(lab, "osd tree")["nodes"]
    homes = {osd: host["name"] for host in tree if host["type"] == "host" for osd in host["children"]}
    assert sorted(homes.values()) == STORAGE
    for group in ceph(lab, "pg dump pgs_brief")["pg_stats"]:
        assert sorted(homes[osd] for osd in group["acting"]) == STORAGE


@pytest.mark.parametrize("name", STORAGE)
def test_nothing_is_sent_in_clear(lab: Lab, name: str) -> None:
    """Only the second protocol has a port, and its mode is secure on both sides; metrics are on loopback."""
    listening = {line.split()[3] for line in lab.run(name, "ss --listening --tcp --numeric --no-header").splitlines()}
    assert not [it for it in listening if it.endswith((":6789", ":8443", ":8003"))]
    assert [it for it in listening if it.endswith(":9283")] == ["127.0.0.1:9283"]
    for option in ("ms_cluster_mode", "ms_service_mode", "ms_client_mode", "ms_mon_service_mode"):
        assert json.loads(
            lab.run(name, f"ceph daemon osd.$(cat /var/lib/ceph/osd/file0/whoami) config get {option}")
        ) == {option: "secure"}


def test_a_node_may_mount_and_nothing_else(lab: Lab) -> None:
    """Its key neither lists users nor changes pools; nobody else can read it."""
    keyring = f"/etc/ceph/ceph.client.{WORKERS[0]}.keyring"
    assert lab[WORKERS[0]].file(keyring).mode == 0o600
    text = lab.run(WORKERS[0], f"cat {keyring}")
    lab.run(STORAGE[0], "umask 077; printf '%%s' %s > /root/node.keyring", text)
    asked = f"ceph --name client.{WORKERS[0]} --keyring /root/node.keyring --connect-timeout 10"
    for command in ("auth ls", "osd pool rm cephfs.shared.data cephfs.shared.data --yes-i-really-really-mean-it"):
        done = lab[STORAGE[0]].run(f"{asked} {command}")
        assert done.rc != 0
        assert "access denied" in done.stderr or "EACCES" in done.stderr, done.stderr
    lab.run(STORAGE[0], "rm /root/node.keyring")


def test_a_volume_is_limited_alone(lab: Lab, namespace: str, shared: str) -> None:
    """Who fills his volume gets an error, and others go on writing."""
    lab.apply(claim("other", namespace, "shared", "64Mi"))
    for name, claimed in (("fills", shared), ("writes", "other")):
        start(lab, name, namespace, WORKERS[0], claimed)
    found = volume_tester(lab, "fills", namespace, "fill /volume 200")
    assert found["full"]
    assert 60 <= found["mib"] <= 80
    volume_tester(lab, "writes", namespace, "write /volume/data 8")


def test_a_volume_that_fills_up_is_an_alert(lab: Lab, namespace: str, shared: str) -> None:
    """Masters say of each volume what the kubelet does not. For five minutes it is pending."""
    claimed = f'namespace="{namespace}", persistentvolumeclaim="{shared}"'
    volume_tester(lab, "fills", namespace, "write /volume/data 60")
    wait_until(lambda: bool(query(lab, f'ALERTS{{alertname="VolumeNearlyFull", {claimed}}}')), 180, "it nearly is")
    (capacity,) = {it["value"][1] for it in query(lab, f"selfhosted_volume_capacity_bytes{{{claimed}}}")}
    assert capacity == str(64 << 20)
    volume_tester(lab, "fills", namespace, "write /volume/data 1")
    wait_until(lambda: not query(lab, f"selfhosted_volume_used_bytes{{{claimed}}} > 16 * 2^20"), 180, "there is room")


@pytest.fixture
def silent(lab: Lab, request: pytest.FixtureRequest) -> Iterator[str]:
    """An alert, after nodes said last that something was long ago."""
    nodes, metric, alert = request.param
    for name in nodes:
        lab.run(name, f"systemctl stop cephfs-watch; sed -i 's/^{metric} .*/{metric} 0/' {METRICS}")
    yield alert
    for name in nodes:
        lab.run(name, "systemctl start cephfs-watch")


@pytest.mark.parametrize(
    "silent",
    [
        (WORKERS[:1], "selfhosted_cephfs_last_answer_timestamp_seconds", "StorageNotMounted"),
        (MASTERS, "selfhosted_cephfs_last_snapshot_timestamp_seconds", "SnapshotsStopped"),
    ],
    ids=lambda it: it[2],
    indirect=True,
)
def test_what_no_longer_comes_is_an_alert(lab: Lab, silent: str) -> None:
    """A mount that does not answer on one node, snapshots that no master finds; when they come again it is over."""
    firing = f'ALERTS{{alertname="{silent}", alertstate="firing"}}'
    wait_until(lambda: len(query(lab, firing)) == 1, 120, f"{silent} fires")


def test_all_nodes_answer_again(lab: Lab) -> None:
    """Snapshots have a time, too, before the first one as well."""
    alerts = 'ALERTS{alertname=~"StorageNotMounted|SnapshotsStopped"}'
    wait_until(lambda: not query(lab, alerts), 180, "no alert")
    assert len(query(lab, "time() - selfhosted_cephfs_last_answer_timestamp_seconds < 180")) == len(NODES)
    assert len(query(lab, "selfhosted_cephfs_snapshot_interval_seconds == 3600")) == len(MASTERS)


def test_a_pod_may_not_use_the_nodes_disk(lab: Lab, namespace: str) -> None:
    """It is told what to use in place of a hostPath; a namespace with the label is an exception."""
    wish = pod("host-path", namespace, WORKERS[0], {"hostPath": {"path": "/etc"}})
    document = json.dumps(wish)
    refused = lab.operator.run(
        "printf '%%s' %s | kubectl --kubeconfig=/etc/kubernetes/admin.conf apply --filename=-", document
    )
    assert refused.rc != 0
    assert "claim a volume (storageClassName shared or local)" in refused.stderr
    label = "storage.selfhosted.kubernetes/host-path"
    lab.kubectl(f"label namespace {namespace} {label}=allowed")
    wait_until(lambda: lab.try_apply(wish), 10, "the exception counts")
    lab.kubectl(f"delete --namespace={namespace} pod host-path")
    lab.kubectl(f"label namespace {namespace} {label}-")


@pytest.fixture
def unmounted(lab: Lab) -> Iterator[str]:
    """A node whose file system is away."""
    node = WORKERS[1]
    lab.run(node, "systemctl stop cephfs")
    yield node
    lab.run(node, "systemctl start cephfs")
    mounted = f"stat --file-system --format=%T {MOUNT} | grep --quiet fuseblk"
    wait_until(lambda: bool(lab[node].run(mounted).rc == 0), 60, "it is mounted again")


def test_nothing_gets_onto_the_nodes_disk_meanwhile(lab: Lab, namespace: str, shared: str, unmounted: str) -> None:
    """Where the mount is away, nobody can write below it, and a pod waits instead of starting empty."""
    done = lab[unmounted].run(f"touch {MOUNT}/x")
    assert done.rc != 0
    assert "Read-only file system" in done.stderr
    program = "/usr/local/lib/selfhosted-kubernetes/ceph/metrics.py"
    told = lab[unmounted].run(f"/usr/bin/python3 {program} {MOUNT} {METRICS}")
    assert (told.rc, told.stderr.strip()) == (1, f"{MOUNT} is not mounted: journalctl -u cephfs.service")
    lab.apply(pod("waits", namespace, unmounted, of_claim(shared)))
    events = f"get events --namespace={namespace} --field-selector involvedObject.name=waits --output=name"
    failed = f"{events} --field-selector involvedObject.name=waits,reason=FailedMount"
    wait_until(lambda: bool(lab.kubectl(failed).strip()), 60, "the kubelet says that the folder is not there")
    assert lab.get(f"pod --namespace={namespace} waits")["status"]["phase"] == "Pending"


def test_a_pod_that_waited_starts(lab: Lab, namespace: str) -> None:
    """By itself, once the file system is back."""
    lab.kubectl(f"wait --namespace={namespace} --for=condition=Ready --timeout=180s pod/waits")


@pytest.mark.parametrize(("storage_class", "stays"), [("shared", False), ("shared-retain", True)])
def test_a_claims_end_is_as_its_class_says(lab: Lab, namespace: str, storage_class: str, stays: bool) -> None:
    """Folder and record are gone from the file system; or they stay, and a claim of that name finds them again."""
    name = f"ends-{storage_class}"
    wish = claim(name, namespace, storage_class, "64Mi")
    lab.apply(wish)
    start(lab, name, namespace, WORKERS[0], name)
    wrote = volume_tester(lab, name, namespace, "write /volume/data 4")["sha256"]
    volume = lab.get(f"pvc --namespace={namespace} {name}")["spec"]["volumeName"]

    def there() -> list[str]:
        """Also what is being removed has the volume's name in it."""
        names = lab.run(WORKERS[1], f"ls --almost-all {MOUNT} {MOUNT}/.claims").split()
        return sorted(it for it in names if volume in it)

    assert there() == [volume, f"{volume}.json"]
    lab.kubectl(f"delete --namespace={namespace} pod/{name} pvc/{name}")
    if not stays:
        wait_until(lambda: not there(), 60, "nothing of it is left")
        wait_until(lambda: not lab.kubectl(f"get pv {volume} --ignore-not-found"), 60, "nor of its object")
        return
    lab.kubectl(f"wait --for=jsonpath=.status.phase=Released --timeout=60s pv/{volume}")
    lab.kubectl(f"delete pv {volume}")
    code, output = playbook("storage_adopt")
    assert code == 0, output[-6000:]
    lab.apply(wish)
    start(lab, name, namespace, WORKERS[1], name)
    assert volume_tester(lab, name, namespace, "read /volume/data")["sha256"] == wrote
    assert lab.get(f"pvc --namespace={namespace} {name}")["spec"]["volumeName"] == volume
    lab.kubectl(f"delete --namespace={namespace} pod/{name} pvc/{name}")
    lab.kubectl(f"delete pv {volume}")
    assert there() == [volume, f"{volume}.json"]
    lab.run(WORKERS[1], f"rm -r {MOUNT}/{volume} {MOUNT}/.claims/{volume}.json")


@pytest.mark.parametrize("storage_class", ["shared", "local"])
def test_classes_can_be_trusted(lab: Lab, storage_class: str) -> None:
    """By the suite that users have for their own."""
    # What an earlier run of it was given, and kept.
    for it in lab.get("pv")["items"]:
        if it["spec"]["storageClassName"] == "local" and it["status"]["phase"] == "Released":
            lab.kubectl(f"patch pv {it['metadata']['name']} --patch=%s", json.dumps({"spec": {"claimRef": None}}))
    report = FOLDER / f"storage-{storage_class}.json"
    power = ("storage_node_off=docker kill {node}", "storage_node_on=docker start {node}")
    words = [json.dumps(dict([it.split("=", 1)])) for it in power] if storage_class == "shared" else []
    code, output = playbook("storage_test", f"storage_class={storage_class}", f"storage_report={report}", *words)
    assert code == 0, output[-6000:]
    said = json.loads(report.read_text(encoding="utf-8"))
    print(json.dumps(said, indent=1))  # noqa: T201
    assert [it["check"] for it in said["results"] if it["able"] is False] == []
    promised = {it["check"] for it in said["results"] if it["able"]}
    assert "fio randwrite of 4 KiB with fsync" in promised
    lost = "a lost node's pod runs elsewhere with its data"
    assert (lost in promised) == (storage_class == "shared")
    many = "two nodes write to one volume (ReadWriteMany)"
    assert (many in promised) == (storage_class == "shared")


PANELS = [
    pytest.param(expression, id=panel["title"])
    for page in dashboards.pages()
    if page["uid"] == "shk-storage"
    for panels in page["rows"].values()
    for panel in panels
    for expression in panel["queries"].values()
]


@pytest.mark.parametrize("expression", PANELS)
def test_the_dashboard_has_something_to_draw(lab: Lab, expression: str) -> None:
    """Every panel of it, asked as Grafana would; of backups there is nothing before the first one."""
    lab.run(
        OPERATOR, "test -e /var/lib/node-exporter/selfhosted_backup_volumes.prom || /usr/local/sbin/backup run-volumes"
    )
    asked = expression.replace("$__rate_interval", "1m")
    wait_until(lambda: bool(query(lab, asked)), 180, asked)


def test_a_class_that_is_not_there_is_one_error() -> None:
    """Which names those that are."""
    code, output = playbook("storage_test", "storage_class=fast")
    assert code != 0
    assert "there is no StorageClass fast; the cluster has local, shared, shared-retain" in output


def test_check_says_how_it_is(lab: Lab) -> None:
    """Its daemons among the components, and what Ceph says in a line."""
    wait_until(lambda: healthy(lab), 120, "HEALTH_OK")
    code, output = playbook("check")
    assert code == 0, output[-3000:]
    assert "ok storage HEALTH_OK" in output


def test_a_site_run_changes_nothing(tmp_path: Path) -> None:
    """Storage and volumes included."""
    # On the control node kubectl why knows the inventories of the run before, which were Molecule's; backups keep that.
    first = site(tmp_path).changed
    assert {name for name in first if first[name]} <= {MASTERS[0], *OUTSIDE}
    assert not any(site(tmp_path).changed.values())
