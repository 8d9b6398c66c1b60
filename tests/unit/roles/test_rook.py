# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role rook renders, by a real ansible-playbook; upstream is a server that has files of these names.

What is wrong between versions and modes is in tests/unit/plugins/plugin_utils/_cluster/cases_validate.yml.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ansible_collections.selfhosted.kubernetes.plugins.filter.config import ceph_keyring
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._ceph.cluster import users
from jinja2 import Environment

ROOT = Path(__file__).resolve().parents[3]
VERSIONS = yaml.safe_load((ROOT / "roles/rook/files/versions.yml").read_text(encoding="utf-8"))
VARS = yaml.safe_load((ROOT / "roles/rook/vars/main.yml").read_text(encoding="utf-8"))
CEPH = yaml.safe_load((ROOT / "roles/ceph/vars/main.yml").read_text(encoding="utf-8"))
PAGE = (ROOT / "docs/storage.md").read_text(encoding="utf-8")
KEY = "not the key of anything"
STEPS = {
    "1-definitions": ["crds.yaml", "common.yaml", "csi-operator.yaml"],
    "2-operator": ["operator.yaml"],
    "3-cluster": [],
}
# What tuning of roles/ceph Rook makes of other settings of ours, and of which.
ROOKS_OWN = {
    **dict.fromkeys(("ms_bind_msgr1", "ms_bind_msgr2"), "network.connections.requireMsgr2"),
    **dict.fromkeys(("ms_cluster_mode", "ms_service_mode", "ms_client_mode"), "network.connections.encryption"),
    **dict.fromkeys(("osd_pool_default_size", "osd_pool_default_min_size"), "pools' replicated.size, Ceph's defaults"),
    "osd_crush_chooseleaf_type": "pools' failureDomain",
    **dict.fromkeys(("osd_recovery_sleep_ssd", "osd_scrub_sleep"), "osd_mclock_profile; its Ceph sets them to 0"),
    "osd_memory_target": "resources.osd",
    "mds_cache_memory_limit": "metadataServer.resources",
    "mgr_initial_modules": "mgr.modules; Rook tells each module where to listen",
}


# ---- Schemas of the fields that we set and of no other, written from upstream's pages of these names below
# Documentation/CRDs/ and Documentation/Storage-Configuration/ of rook/rook.
def obj(**properties: Any) -> dict[str, Any]:
    """An object with all of these fields and no other."""
    return {"type": "object", "additionalProperties": False, "properties": properties, "required": list(properties)}


def arr(items: dict[str, Any], least: int = 1) -> dict[str, Any]:
    """A list that is not empty."""
    return {"type": "array", "items": items, "minItems": least}


def texts(*names: str) -> dict[str, Any]:
    """An object of texts."""
    return obj(**dict.fromkeys(names, STR))


STR, BOOL, NUMBER = {"type": "string", "minLength": 1}, {"type": "boolean"}, {"type": "integer", "minimum": 1}
RATIO = {"type": "number", "minimum": 0, "maximum": 1}
STRINGS = {"type": "object", "additionalProperties": STR}
QUANTITY = {"type": "string", "pattern": r"^\d+(m|Mi|Gi)?$"}
TERM = obj(matchExpressions=arr(obj(key=STR, operator={"const": "In"}, values=arr({"type": "string"}, 3))))
RESOURCES = obj(requests=obj(cpu=QUANTITY, memory=QUANTITY), limits=obj(memory=QUANTITY))
# Cluster/ceph-cluster-crd.md, "Network Configuration Settings" and "CSI Driver Options"
NETWORK = obj(connections=obj(requireMsgr2=BOOL, encryption=obj(enabled=BOOL)))
CSI = obj(cephfs=obj(kernelMountOptions={"const": "ms_mode=secure"}))
# Shared-Filesystem/ceph-filesystem-crd.md
REPLICATED = obj(size=NUMBER, requireSafeReplicaSize=BOOL)
SPECS = {
    # Cluster/external-cluster/external-cluster.md and deploy/examples/external/cluster-external.yaml
    ("external", "CephCluster"): obj(
        external=obj(enable={"const": True}),
        crashCollector=obj(disable=BOOL),
        healthCheck=obj(daemonHealth=obj(mon=obj(disabled=BOOL, interval=STR))),
        network=NETWORK,
        csi=CSI,
    ),
    # Cluster/ceph-cluster-crd.md, "Cluster Settings", "Mon Settings", "Ceph Config", "Storage Selection Settings"
    ("internal", "CephCluster"): obj(
        cephVersion=obj(
            image={"type": "string", "pattern": r"^quay\.io/ceph/ceph:v\d+\.\d+\.\d+$"},
            allowUnsupported={"const": False},
        ),
        dataDirHostPath=STR,
        mon=obj(count={"const": 3}, allowMultiplePerNode={"const": False}),
        mgr=obj(count={"const": 2}, allowMultiplePerNode={"const": False}),
        dashboard=obj(enabled=BOOL),
        network=NETWORK,
        csi=CSI,
        cephConfig=obj(**{"global": STRINGS, "mon": STRINGS, "osd": STRINGS}),
        resources=obj(mon=RESOURCES, mgr=RESOURCES, osd=RESOURCES),
        priorityClassNames=texts("mon", "osd", "mgr"),
        # "Placement Configuration Settings": Kubernetes' own NodeAffinity and Toleration.
        placement=obj(
            all=obj(
                nodeAffinity=obj(requiredDuringSchedulingIgnoredDuringExecution=obj(nodeSelectorTerms=arr(TERM))),
                tolerations=arr(texts("key", "operator", "effect")),
            )
        ),
        removeOSDsIfOutAndSafeToRemove=BOOL,
        storage=obj(
            useAllNodes={"const": False},
            useAllDevices={"const": False},
            nodes=arr(obj(name=STR, devices=arr(obj(name={"type": "string", "pattern": "^/dev/"}))), 3),
            nearFullRatio=RATIO,
            backfillFullRatio=RATIO,
            fullRatio=RATIO,
        ),
        disruptionManagement=obj(managePodBudgets=BOOL),
    ),
    ("internal", "CephFilesystem"): obj(
        metadataPool=obj(failureDomain=STR, replicated=REPLICATED),
        dataPools=arr(obj(name=STR, failureDomain=STR, replicated=REPLICATED, parameters=STRINGS)),
        preserveFilesystemOnDelete={"const": True},
        metadataServer=obj(
            activeCount=NUMBER,
            activeStandby=BOOL,
            priorityClassName=STR,
            placement=obj(podAntiAffinity={"type": "object"}),
            resources=RESOURCES,
        ),
    ),
}
NAMESPACED = obj(name=STR, namespace={"const": "rook-ceph"})
SECRET = {"apiVersion": {"const": "v1"}, "kind": {"const": "Secret"}, "metadata": NAMESPACED}
PARAMETERS = [
    f"csi.storage.k8s.io/{use}-secret-{what}"
    for use in ("provisioner", "controller-expand", "controller-publish", "node-stage")
    for what in ("name", "namespace")
]
# Of Kubernetes: kinds of its core/v1 and storage.k8s.io/v1.
KINDS = {
    "ConfigMap": obj(
        apiVersion={"const": "v1"},
        kind=STR,
        metadata=NAMESPACED,
        data=texts("data", "mapping", "maxMonId"),
    ),
    "Secret": {
        "oneOf": [
            obj(**SECRET, type={"const": "kubernetes.io/rook"}, stringData=texts("userID", "userKey")),
            obj(
                **SECRET,
                type={"const": "kubernetes.io/rook"},
                stringData=texts("cluster-name", "fsid", "admin-secret", "mon-secret", "ceph-username", "ceph-secret"),
            ),
        ]
    },
    "StorageClass": obj(
        apiVersion={"const": "storage.k8s.io/v1"},
        kind=STR,
        metadata=texts("name"),
        provisioner={"const": "rook-ceph.cephfs.csi.ceph.com"},
        parameters=texts("clusterID", "fsName", "pool", *PARAMETERS),
        reclaimPolicy={"enum": ["Delete", "Retain"]},
        allowVolumeExpansion=BOOL,
    ),
}


def schema(mode: str, kind: str) -> dict[str, Any]:
    """What an object has to be."""
    if kind in KINDS:
        return KINDS[kind]
    spec = SPECS[mode, kind]
    return obj(apiVersion={"const": "ceph.rook.io/v1"}, kind=STR, metadata=NAMESPACED, spec=spec)


# ---- rendering
@pytest.fixture(scope="module")
def mirror() -> Iterator[tuple[str, dict[str, bytes]]]:
    """A server that has each of upstream's files of each version; who changes what it has, changes it for all."""
    names = [name for step in STEPS.values() for name in step]
    files = {
        f"/raw.githubusercontent.com/rook/rook/v{version}/deploy/examples/{name}": f"# {version} {name}\n".encode()
        for version in VERSIONS
        for name in names
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = files.get(self.path)
            self.send_response(200 if body is not None else 404)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", files
    server.shutdown()
    thread.join()
    server.server_close()


def given(folder: Path, mode: str, version: str, base: str) -> dict[str, Any]:
    """What roles/rook has from cluster_derived and from users."""
    (folder / "pki/keys").mkdir(parents=True, exist_ok=True)
    (folder / "pki/keys/ceph").write_text(f"{KEY}\n", encoding="utf-8")
    disks = ["/dev/disk/by-id/wwn-0x5000c500a1b2c3d4", "/dev/disk/by-id/nvme-eui.0025"]
    return {
        "rook_mode": mode,
        "rook_version": version,
        "rook_output": str(folder / "rook"),
        "rook_mirror": base,
        "rook_osd_memory_mib": 8192,
        "rook_nodes": [{"name": name, "devices": disks} for name in ("w1", "w2", "w3")] if mode == "internal" else [],
        "rook_ceph": {"s1": "19.2.3"} if mode == "external" else {},
        "rook_monitors": [{"name": f"s{it}", "address": f"192.0.2.4{it}"} for it in (1, 2, 3)],
        "rook_pki_dir": str(folder / "pki"),
        "rook_pins": str(folder / "artifacts.pins.json"),
    }


def play(folder: Path, variables: dict[str, Any], *options: str) -> tuple[int, str]:
    """Exit code and output of a playbook with the role, which checks what it is given against its spec."""
    link = folder / "ansible_collections/selfhosted/kubernetes"
    if not link.exists():
        link.parent.mkdir(parents=True)
        link.symlink_to(ROOT)
    role = {"ansible.builtin.import_role": {"name": "selfhosted.kubernetes.rook"}}
    plays = [{"hosts": "localhost", "gather_facts": False, "vars": variables, "tasks": [role]}]
    (folder / "play.yml").write_text(yaml.safe_dump(plays), encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    environment |= {
        "ANSIBLE_COLLECTIONS_PATH": str(folder),
        "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_LOCALHOST_WARNING": "0",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "0",
        "no_proxy": "127.0.0.1",
    }
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "play.yml", *options]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    return done.returncode, done.stdout + done.stderr


def documents(path: Path) -> list[dict[str, Any]]:
    """All documents of a file."""
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def rendered(
    tmp_path_factory: pytest.TempPathFactory, mirror: tuple[str, dict[str, bytes]]
) -> Callable[[str, str], Path]:
    """The output for a mode and a version, made once."""
    made: dict[tuple[str, str], Path] = {}

    def get(mode: str, version: str) -> Path:
        if (mode, version) not in made:
            folder = tmp_path_factory.mktemp("rook")
            code, said = play(folder, given(folder, mode, version, mirror[0]), "--diff")
            assert code == 0, said
            assert ceph_keyring({"client.healthchecker": {}}, KEY).split()[-1] not in said
            made[mode, version] = folder / "rook"
        return made[mode, version]

    return get


EVERY = [(mode, version) for mode in ("external", "internal") for version in VERSIONS]


@pytest.mark.parametrize(("mode", "version"), EVERY)
def test_each_step_has_what_it_names(rendered: Callable[[str, str], Path], mode: str, version: str) -> None:
    """Upstream's files of that version, and ours, which nobody else may read."""
    output = rendered(mode, version)
    assert sorted(path.name for path in output.iterdir()) == list(STEPS)
    assert output.stat().st_mode & 0o777 == 0o700
    for step, names in STEPS.items():
        (kustomization,) = documents(output / step / "kustomization.yaml")
        assert (kustomization["kind"], kustomization["apiVersion"]) == (
            *("Kustomization", "kustomize.config.k8s.io/v1beta1"),
        )
        listed = set(kustomization["resources"])
        assert listed | {"kustomization.yaml"} == {path.name for path in (output / step).iterdir()}
        assert listed >= set(names)
        for name in names:
            assert (output / step / name).read_text(encoding="utf-8") == f"# {version} {name}\n"
        ours = [path for path in (output / step).iterdir() if path.name not in names]
        assert {path.stat().st_mode & 0o777 for path in ours} == {0o600}
        assert (output / step).stat().st_mode & 0o777 == 0o700
    # Pods of drivers mount folders of their nodes.
    (kustomization,) = documents(output / "1-definitions/kustomization.yaml")
    namespace = yaml.safe_load(kustomization["patches"][0]["patch"])
    assert namespace["metadata"]["labels"] == {"storage.selfhosted.kubernetes/host-path": "allowed"}


@pytest.mark.parametrize(("mode", "version"), EVERY)
def test_objects_are_as_upstream_describes_them(rendered: Callable[[str, str], Path], mode: str, version: str) -> None:
    """Each of ours, against the schema of its kind; none is there twice."""
    output = rendered(mode, version) / "3-cluster"
    (kustomization,) = documents(output / "kustomization.yaml")
    objects = [it for name in kustomization["resources"] for it in documents(output / name)]
    for it in objects:
        jsonschema.Draft202012Validator(schema(mode, it["kind"])).validate(it)
    identities = sorted((it["kind"], it["metadata"]["name"]) for it in objects)
    assert (
        identities
        == {
            "external": [
                *(("CephCluster", "rook-ceph-external"), ("ConfigMap", "rook-ceph-mon-endpoints")),
                *(("Secret", "rook-ceph-mon"), ("Secret", "rook-csi-cephfs-node")),
                *(("Secret", "rook-csi-cephfs-provisioner"), ("StorageClass", "rook-cephfs")),
            ],
            "internal": [("CephCluster", "rook-ceph"), ("CephFilesystem", "shared"), ("StorageClass", "rook-cephfs")],
        }[mode]
    )


def test_the_schemas_refuse(rendered: Callable[[str, str], Path]) -> None:
    """A field that nobody knows, a wrong type, a missing one: else all of the above proves nothing."""
    cluster = documents(rendered("internal", next(iter(VERSIONS))) / "3-cluster/internal.yaml")[0]
    validator = jsonschema.Draft202012Validator(schema("internal", "CephCluster"))
    wrong: list[dict[str, Any]] = [
        {"mons": 3},
        {"mon": {"count": "3"}},
        {"storage": {"useAllNodes": True}},
        {"csi": {}},
    ]
    for changed in wrong:
        assert list(validator.iter_errors({**cluster, "spec": {**cluster["spec"], **changed}})) != []


def test_external_leads_to_our_storage(rendered: Callable[[str, str], Path]) -> None:
    """Monitors at the second protocol's port, the identity and the keys that roles/ceph gives."""
    output = rendered("external", next(iter(VERSIONS))) / "3-cluster"
    objects = {
        it["metadata"]["name"]: it for name in ("external", "secrets") for it in documents(output / f"{name}.yaml")
    }
    assert objects["rook-ceph-mon-endpoints"]["data"] == {
        "data": "s1=192.0.2.41:3300,s2=192.0.2.42:3300,s3=192.0.2.43:3300",
        "mapping": "{}",
        "maxMonId": "2",
    }
    monitors = objects["rook-ceph-mon"]["stringData"]
    assert VARS["__rook_fsid"].replace("__rook_", "__ceph_") == CEPH["__ceph_fsid"]
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", monitors["fsid"])
    found = users(ceph_keyring(CEPH["__ceph_users_of_rook"], KEY))
    assert monitors["ceph-secret"] == found[monitors["ceph-username"]]["key"]
    for name in ("csi-cephfs-node", "csi-cephfs-provisioner"):
        assert objects[f"rook-{name}"]["stringData"] == {"userID": name, "userKey": found[f"client.{name}"]["key"]}
    (storage_class,) = documents(output / "storage-class.yaml")
    file_system = CEPH["__ceph_cluster"]["file_system"]
    used = storage_class["parameters"]
    assert (used["fsName"], used["pool"]) == (file_system["name"], file_system["data"])
    secrets = {used[name] for name in PARAMETERS if name.endswith("-name")}
    assert secrets == {"rook-csi-cephfs-node", "rook-csi-cephfs-provisioner"}


def test_internal_takes_the_disks_that_are_named(rendered: Callable[[str, str], Path]) -> None:
    """And gives OSDs the memory that was asked for."""
    version = next(iter(VERSIONS))
    output = rendered("internal", version) / "3-cluster"
    cluster, file_system = documents(output / "internal.yaml")
    assert cluster["spec"]["cephVersion"]["image"] == VERSIONS[version]["ceph_image"]
    assert [it["name"] for it in cluster["spec"]["storage"]["nodes"]] == ["w1", "w2", "w3"]
    assert cluster["spec"]["storage"]["nodes"][0]["devices"][1] == {"name": "/dev/disk/by-id/nvme-eui.0025"}
    assert cluster["spec"]["resources"]["osd"]["limits"] == {"memory": "8192Mi"}
    (storage_class,) = documents(output / "storage-class.yaml")
    # Rook names a pool after its file system.
    pool = f"{file_system['metadata']['name']}-{file_system['spec']['dataPools'][0]['name']}"
    used = storage_class["parameters"]
    assert (used["fsName"], used["pool"]) == (file_system["metadata"]["name"], pool)


def test_what_is_tuned_outside_is_tuned_inside() -> None:
    """Each option of roles/ceph, with its value, or Rook sets it itself; limits are the same."""
    ours = {name: it["value"] for options in CEPH["__ceph_tuning"].values() for name, it in options.items()}
    theirs = {name: it for options in VARS["__rook_ceph_config"].values() for name, it in options.items()}
    assert ours.keys() - theirs.keys() == ROOKS_OWN.keys()
    assert theirs == {name: str(ours[name]).lower() for name in theirs}
    sections = {name: part for part, options in CEPH["__ceph_tuning"].items() for name in options}
    assert {name: part for part, options in VARS["__rook_ceph_config"].items() for name in options} == {
        name: sections[name] for name in theirs
    }


def test_what_is_tuned_of_limits_is_the_same(rendered: Callable[[str, str], Path]) -> None:
    """Shares of the disks at which somebody is told, and at which nobody writes."""
    cluster, _ = documents(rendered("internal", next(iter(VERSIONS))) / "3-cluster/internal.yaml")
    storage = cluster["spec"]["storage"]
    limits = {name.removesuffix("Ratio").lower(): it for name, it in storage.items() if name.endswith("Ratio")}
    assert limits == {name: it["value"] for name, it in CEPH["__ceph_live"]["limit"].items()}


@pytest.mark.parametrize("asked", [False, True])
def test_users_of_rook_are_there_for_who_asks(asked: bool) -> None:
    """Else the storage gives nobody a right that nobody uses; rights survive a keyring and its reader."""
    others = {"ceph_hosts": ["s1"], "ceph_nodes": ["w1"], "__ceph_users_of_rook": CEPH["__ceph_users_of_rook"]}
    text = Environment(autoescape=False).from_string(CEPH["__ceph_users"]).render(ceph_rook=asked, **others)
    made = ast.literal_eval(text.strip())
    wanted = {"client.healthchecker", "client.csi-cephfs-provisioner", "client.csi-cephfs-node"}
    assert {name for name in made if name in wanted} == (wanted if asked else set())
    assert {name: it["caps"] for name, it in users(ceph_keyring(made, KEY)).items()} == made


# ---- what goes wrong while it runs
def test_a_second_run_changes_nothing(
    rendered: Callable[[str, str], Path], mirror: tuple[str, dict[str, bytes]]
) -> None:
    """And asks nobody: upstream's files are there, as they were pinned."""
    base, files = mirror
    version = next(iter(VERSIONS))
    folder, kept = rendered("external", version).parent, dict(files)
    assert len(json.loads((folder / "artifacts.pins.json").read_text(encoding="utf-8"))) == 4
    files.clear()
    code, said = play(folder, given(folder, "external", version, base))
    files.update(kept)
    assert code == 0, said
    assert re.search(r"changed=0 .*failed=0", said), said


def test_nothing_is_written_for_a_storage_that_nobody_knows(
    tmp_path: Path, mirror: tuple[str, dict[str, bytes]]
) -> None:
    """Before the first site run no host has a Ceph whose version could be compared."""
    variables = {**given(tmp_path, "external", next(iter(VERSIONS)), mirror[0]), "rook_ceph": {}}
    code, said = play(tmp_path, variables)
    assert code != 0
    assert "group storage: no host says which Ceph it has; run selfhosted.kubernetes.site first" in said
    assert not (tmp_path / "rook").exists()


def test_the_page_says_which_versions_fit_each_other() -> None:
    """A row for each version."""
    for version, needs in VERSIONS.items():
        ceph = ", ".join(f"{least} and newer {major}" for major, least in needs["ceph"].items())
        assert f"| {version} | {' to '.join(needs['kubernetes'])} | {ceph} |" in PAGE
