# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host says: by its records, from real sockets and files, and whatever hangs or breaks."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._component.host import STATE_DIR, Host
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._health import cluster, observe, tls
from ansible_collections.selfhosted.kubernetes.tests.unit.plugins.module_utils._component.tls import certificate, serve

SHOWN = """LoadState=loaded\nActiveState={}\nSubState={}\nUnitFileState=enabled\n"""


class Told(Host):
    """A host whose programs say what a test wants, by the first word that is no option."""

    def __init__(self, root: Path, **says: str) -> None:
        super().__init__(str(root))
        self.says = {
            "list-units": "",
            "show": SHOWN.format("active", "running"),
            "journalctl": "-- No entries --",
            **says,
        }
        (root / "proc").mkdir()
        (root / "proc/meminfo").write_text("MemTotal:  1000 kB\nMemFree:  1 kB\nMemAvailable:  400 kB\n")

    def record(self, name: str, pending: bool = False, **more: Any) -> None:
        """One component's record, or the mark of an interrupted run."""
        ending, document = ("pending", {"actions": []}) if pending else ("json", {"name": name, "files": {}, **more})
        path = self.path(f"{STATE_DIR}/components/{name}.{ending}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document))

    def try_run(
        self, argv: Sequence[str], environment: dict[str, str] | None = None, timeout: float = 600
    ) -> CompletedProcess[str]:
        """By word."""
        del environment, timeout
        said = self.says.get(argv[0]) or self.says[next(word for word in argv[1:] if not word.startswith("--"))]
        return CompletedProcess(
            argv, 0 if said or "list-units" in argv else 1, said, "" if said else "first\nlast words"
        )


def der(pem: Path) -> str:
    """Its certificate as hosts return it."""
    text = pem.read_text()
    return base64.b64encode(ssl.PEM_cert_to_DER_cert(text[text.index("-----BEGIN CERT") :])).decode()


def test_a_host_by_its_records(tmp_path: Path) -> None:
    """Units, health, versions, marks; what is not recorded is not asked."""
    host = Told(tmp_path, show=SHOWN.format("inactive", "dead"))
    host.record("toy", unit="toy.service", version="1.2.3", health={"tcp": "127.0.0.1:1"})
    host.record("toy", pending=True)
    host.record("begun", pending=True)
    said = observe.observe(host)
    toy = said["components"]["toy"]
    assert (toy["version"], toy["active"], toy["sub"], toy["enabled"]) == ("1.2.3", "inactive", "dead", "enabled")
    assert (toy["installed"], toy["interrupted"]) == (True, True)
    assert "refused" in toy["complaint"]
    begun = said["components"]["begun"]
    assert (begun["installed"], begun["interrupted"], begun["complaint"]) == (False, True, "")
    assert said["memory"] == {"total_bytes": 1024000, "available_bytes": 409600}
    assert [disk["path"] for disk in said["disks"]] == ["/"]
    assert not {"etcd", "api", "backends"} & said.keys()
    assert abs(said["clock"]["host"] - time.time()) < 5


def test_the_last_words_of_what_is_not_well(tmp_path: Path) -> None:
    """Complaints alone; and who listens where another has its port. Of what is well no journal is read."""
    taken = "listen tcp 0.0.0.0:6443: bind: address already in use, failed"
    listens = 'LISTEN 0 5 0.0.0.0:6443 0.0.0.0:* users:(("python3",pid=1,fd=3))'
    host = Told(tmp_path, show=SHOWN.format("activating", "auto-restart"), journalctl=f"starting\n{taken}\nfailed\n")
    host.says |= {"ss": listens}
    host.record("toy", unit="toy.service")
    toy = observe.observe(host)["components"]["toy"]
    assert (toy["journal"], toy["listeners"]) == (["failed", taken], [listens])
    well = Told.__new__(Told)
    Host.__init__(well, str(tmp_path))
    well.says = {"list-units": "", "show": SHOWN.format("active", "running")}
    assert "journal" not in observe.observe(well)["components"]["toy"]


def test_restarts_of_a_unit(tmp_path: Path) -> None:
    """How often systemd did, and for how long it has been running since."""
    started = int((time.monotonic() - 12) * 1e6)
    shown = SHOWN.format("active", "running") + f"NRestarts=7\nActiveEnterTimestampMonotonic={started}\n"
    host = Told(tmp_path, show=shown)
    host.record("toy", unit="toy.service")
    toy = observe.observe(host)["components"]["toy"]
    assert toy["restarts"] == 7
    assert 12 <= toy["seconds"] < 20


def test_disks_of_components(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where their records say that data lies; those of one file system are one, and what is not there is none."""
    host = Told(tmp_path)
    records = {"toy": {"leaves": {"paths": ["/data", "/gone", "/var/lib/toy*"]}}, "begun": {}}
    (tmp_path / "data").mkdir()
    assert [disk["path"] for disk in observe.disks(host, records)] == ["/"]
    monkeypatch.setattr(observe, "DISKS", ())
    found = observe.disks(host, records)
    assert [(disk["path"], disk["read_only"]) for disk in found] == [("/data", False)]


def test_records_that_cannot_be_listed(tmp_path: Path) -> None:
    """It is no host without components."""
    host = Told(tmp_path)
    path = host.path(f"{STATE_DIR}/components")
    path.parent.mkdir(parents=True)
    path.write_text("no folder")
    with pytest.raises(NotADirectoryError):
        observe.observe(host)


def test_a_host_without_anything(tmp_path: Path) -> None:
    """No record, no folder."""
    assert observe.observe(Told(tmp_path))["components"] == {}


def test_what_hangs_keeps_nobody_waiting() -> None:
    """Nor does what breaks."""
    held = threading.Event()
    began = time.monotonic()
    answers = observe.together({"hangs": held.wait, "breaks": lambda: dict[str, int]()["x"], "says": lambda: 1}, 0.05)
    held.set()
    assert time.monotonic() - began < 1
    assert answers == {"hangs": {"error": "no answer within 0 s"}, "breaks": {"error": "KeyError: 'x'"}, "says": 1}


def test_failed_units_are_listed(tmp_path: Path) -> None:
    """By name alone."""
    host = Told(tmp_path, **{"list-units": "a.service loaded failed failed The A\nb.timer loaded failed failed B\n"})
    assert observe.failed_units(host) == ["a.service", "b.timer"]


def test_certificates_of_files(tmp_path: Path) -> None:
    """Single, several in one file, within kubeconfigs and manifests; nothing else of the files is returned."""
    pem = certificate(tmp_path)
    text, wanted = pem.read_text(), der(pem)
    inner = base64.b64encode(text[text.index("-----BEGIN CERT") :].encode()).decode()
    contents = {
        "/one.crt": text,
        "/bundle.crt": text + text,
        "/admin.conf": f"users:\n- user:\n    client-certificate-data: {inner}\n    client-key-data: {inner}\n",
        "/secret.yaml": f"data:\n  tls.crt: {inner}\n  tls.key: '{inner}'\n",
        "/broken.yaml": "data:\n  tls.crt: nonsense\n",
    }
    host = Told(tmp_path)
    for path, content in contents.items():
        host.path(path).write_text(content)
    records: dict[str, dict[str, Any]] = {
        "toy": {"files": dict.fromkeys([*contents, "/absent.crt"])},
        "other": {"files": {"/one.crt": {}}},
    }
    found = tls.in_files(host, records)
    assert [it["path"] for it in found] == ["/admin.conf", "/bundle.crt", "/bundle.crt", "/one.crt", "/secret.yaml"]
    assert {it["der"] for it in found} == {wanted}
    assert next(it["components"] for it in found if it["path"] == "/one.crt") == ["toy", "other"]


def test_certificates_that_are_served(tmp_path: Path) -> None:
    """Where health is asked and where the record says, trusted or not, with a client's certificate or none."""
    pem = certificate(tmp_path)
    with serve(pem, lambda _path: (200, b"ok", 2)) as url:
        address = url.removeprefix("https://")
        pair = {"tcp": address, "cert": "/server.pem", "key": "/server.pem"}
        record = {"name": "toy", "health": {"url": f"{url}/health"}, "tls": [pair]}
        servers = tls.servers(record)
        assert [it["tcp"] for it in servers] == [address, address]
        for it in servers:
            assert tls.served(Host(str(tmp_path)), it, 3) == {"address": address, "component": "toy", "der": der(pem)}
    assert tls.servers({"name": "toy", "health": {"url": "http://127.0.0.1:1/health"}}) == []
    nobody = tls.served(Host(str(tmp_path)), {"tcp": "127.0.0.1:1", "component": "toy"}, 3)
    assert "refused" in nobody["complaint"]


def test_etcd_says_its_own_state(tmp_path: Path) -> None:
    """Without a quorum both answers come; when etcdctl says something else, that is the answer."""
    host = Told(tmp_path, endpoint='[{"Endpoint": "x", "Status": {"leader": 1}}]', member='{"members": [{"ID": 1}]}')
    assert cluster.etcd(host, 3) == {"status": {"leader": 1}, "members": [{"ID": 1}]}
    host.says["member"] = ""
    assert cluster.etcd(host, 3) == {"error": "`etcdctl member list --consistency=s`: last words"}
    host.says.update(endpoint="[]", member='{"members": []}')
    assert cluster.etcd(host, 3) == {"error": "`etcdctl endpoint status`: no answer"}


def test_the_api_gives_objects_in_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists come from the server's cache; what nobody reads stays there."""
    pem = certificate(tmp_path)
    node = {
        "metadata": {"name": "w1", "managedFields": ["pages"]},
        "spec": {"unschedulable": True, "podCIDR": "10.0.0.0/24", "taints": []},
        "status": {"images": ["pages"], "conditions": [], "nodeInfo": {"kubeletVersion": "v1.37.2", "bootID": "x"}},
    }
    bodies: dict[str, Any] = {path: {"items": []} for path in cluster.LISTS.values()}
    bodies |= {"/version": {"gitVersion": "v1.37.2"}, cluster.LISTS["Node"]: {"items": [node]}}

    def answer(path: str) -> tuple[int, bytes, int]:
        body = json.dumps(bodies.get(path, {})).encode()
        return (200 if path in bodies else 404, body, len(body))

    files = {"ca": "/server.pem", "cert": "/server.pem", "key": "/server.pem"}
    monkeypatch.setattr(cluster, "API", files)
    with serve(pem, answer) as url:
        monkeypatch.setattr(cluster, "API_URL", url)
        said = cluster.api(Host(str(tmp_path)), 3)
        monkeypatch.setitem(cluster.LISTS, "Node", "/gone")
        with pytest.raises(OSError, match="/gone answered 404"):
            cluster.api(Host(str(tmp_path)), 3)
    status = {"conditions": [], "nodeInfo": {"kubeletVersion": "v1.37.2"}}
    spec = {"unschedulable": True, "podCIDR": "10.0.0.0/24"}
    brief = {"kind": "Node", "metadata": {"name": "w1"}, "spec": spec, "status": status}
    assert said == {"version": "v1.37.2", "objects": [brief]}


def test_the_pod_network_of_flanneld(tmp_path: Path) -> None:
    """As it wrote it for the CNI plugin."""
    (tmp_path / "run/flannel").mkdir(parents=True)
    text = "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.4.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n"
    (tmp_path / "run/flannel/subnet.env").write_text(text, encoding="ascii")
    assert cluster.pod_network(Host(str(tmp_path)), 3) == {"subnet": "10.244.4.1/24"}


def test_the_load_balancers_view(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table of haproxy, without its own lines."""
    rows = ["# pxname,svname,status,", "apiserver,FRONTEND,OPEN,", "apiservers,m1,UP,", "apiservers,m2,DOWN,"]
    monkeypatch.setattr(cluster, "STATISTICS", "/s")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen()

        def answer() -> None:
            peer = server.accept()[0]
            assert peer.recv(100) == b"show stat\n"
            peer.sendall("\n".join([*rows, "apiservers,BACKEND,UP,", "", ""]).encode())
            peer.close()

        thread = threading.Thread(target=answer)
        thread.start()
        assert cluster.backends(Host(str(tmp_path)), 3) == {"m1": "UP", "m2": "DOWN"}
        thread.join()
