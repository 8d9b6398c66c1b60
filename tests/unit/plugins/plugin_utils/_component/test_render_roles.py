# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every real role, rendered for hosts of the golden clusters with nothing but Ansible's own templating."""

from __future__ import annotations

import base64
import configparser
import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._component.host import RPM_NAMES
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._pki.keys import random_id

CHECKOUT = Path(__file__).resolve().parents[5]
GOLDEN = CHECKOUT / "tests/unit/plugins/plugin_utils/_cluster/golden"
DEBIAN = {"os_family": "Debian", "memory_bytes": 2**33, "interface": "eth0", "resolv_conf": "/etc/resolv.conf"}
UBUNTU = {"os_family": "Debian", "interface": "ens3", "resolv_conf": "/run/systemd/resolve/resolv.conf"}
RHEL = {"os_family": "RedHat", "memory_bytes": 2**33, "interface": "enp1s0", "resolv_conf": "/etc/resolv.conf"}
PORTS = {
    "kube_controller_manager_flags": {"secure-port": 11257},
    "kube_scheduler_flags": {"secure-port": 11259},
    "kubelet_config": {"healthzPort": 11248},
    "kube_proxy_config": {"healthzBindAddress": "0.0.0.0:11256", "metricsBindAddress": "127.0.0.1:11249"},
}
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8Uqvy3Kf0QqYI2uqQFZ7lZ9dKX0pOQz8F7pQ2m5w2R"
FORGE = "ssh://git@forge.example.org/team"
GIT_AND_CI = {
    "git_users": {"alice": [f"{KEY} alice@laptop"], "bob": [KEY]},
    "git_repositories": [
        {"name": "app", "write": ["alice"], "read": ["bob"], "mirror_to": f"{FORGE}/app.git"},
        {"name": "base", "mirror_from": f"{FORGE}/base.git"},
    ],
    "git_mirror_key": "a private key",
    "git_mirror_known_hosts": "forge.example.org ssh-ed25519 AAAA",
    "ci_jobs": [{"repository": "app", "namespaces": ["app", "web"], "after": ["base"]}, {"repository": "base"}],
}
MONITORING = {
    "monitoring_rules": [
        {"name": "app", "rules": [{"record": "job:up:sum", "expr": "sum by (job) (up)"}]},
        {
            "name": "shop",
            "rules": [{"alert": "Down", "expr": "up == 0", "annotations": {"summary": "{{ $labels.job }} is down."}}],
        },
    ],
    "monitoring_receivers": [{"name": "ops", "webhook_configs": [{"url": "http://192.0.2.9/?token=secret"}]}],
    "monitoring_route": {"routes": [{"receiver": "nobody", "matchers": ['alertname = "PodNotRunning"']}]},
    "monitoring_heartbeat_url": "https://heartbeat.example.org/x",
}
BACKUP = {
    "backup_password": "correct-horse-battery",
    "backup_state_password": "staple-correct-horse",
    "backup_targets": ["/mnt/usb/backups", "s3:https://s3.example.org/backups"],
    "backup_environment": {"AWS_SECRET_ACCESS_KEY": "what s3 asks for"},
}
GRAFANA = {
    "grafana_repository_key": "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nxsFN\n-----END PGP PUBLIC KEY BLOCK-----\n",
    "grafana_admin_password": "correct-horse-battery",
    "grafana_config": {"auth.ldap": {"enabled": True, "config_file": "/srv/ldap.toml"}, "smtp": {"password": 'a;b"c'}},
    "status_page_links": [{"name": "forge", "url": "https://forge.example.org/"}],
}
STORAGE = {
    "ceph_osds": [{"name": "a", "device": "/dev/disk/by-id/wwn-0x1"}, {"name": "b", "size_gib": 4}],
    "ceph_wipe": ["s1:/dev/disk/by-id/wwn-0x1"],
    "ceph_rack": "r1",
    "ceph_cluster_network": "198.51.100.0/24",
    "ceph_config": {"osd": {"osd_max_backfills": 4}, "client": {"rbd_cache": False}},
}
REGISTRY_USERS = {"alice": {"password": "correct-horse", "push": True}, "bob": {"password": "battery-staple"}}
# A host of each kind, some of other distributions, some with settings that lead elsewhere: facts and settings of each.
PLACES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "ha/m1": (DEBIAN, {}),
    "ha/w1": (DEBIAN, {}),
    "ha/o1": (DEBIAN, {}),
    "external-etcd-vip/e1": (DEBIAN, {}),
    "external-etcd-vip/m1": (DEBIAN, {}),
    "external-etcd-vip/o2": (DEBIAN, GIT_AND_CI | MONITORING | BACKUP | GRAFANA),
    "external-etcd-vip/m1 Ubuntu": (UBUNTU, {}),
    "external-etcd-vip/m1 RHEL": (RHEL, {}),
    "ha/o1 RHEL": (RHEL, {}),
    "ha/w1 iptables": (DEBIAN, {"kube_proxy_config": {"mode": "iptables"}}),
    "ha/w1 host-gw": (DEBIAN, {"overlay_backend": "host-gw"}),
    "ha/m1 ports": (DEBIAN, PORTS),
    "ha/o1 open": (DEBIAN, {"registry_isolated": False, "registry_users": REGISTRY_USERS}),
    "ha/w1 open": (DEBIAN, {"containerd_registry_isolated": False}),
    "storage/m1": (DEBIAN, {}),
    "storage/w1": (DEBIAN, {"volumes_local": [{"name": "db", "path": "/srv/volumes/db", "size_gib": 10}]}),
    "storage/w1 kernel": (DEBIAN, {"volumes_client": "kernel"}),
    "storage/s1": (DEBIAN, STORAGE),
    "storage/o1": (DEBIAN, {}),
    "storage/s1 RHEL": (RHEL, STORAGE),
}
PACKAGES = {"bash-completion", "buildah", "curl", "git", "haproxy", "keepalived", "kmod", "nftables", "nginx"}
PACKAGES |= {"openssh-server", "openssl", "restic", "rsync", "systemd-journal-remote", "util-linux"}
PACKAGES |= {"prometheus", "prometheus-alertmanager", "prometheus-blackbox-exporter", "prometheus-node-exporter"}
PACKAGES |= {"ceph-common", "ceph-fuse", "ceph-mds", "ceph-mgr", "ceph-mon", "ceph-osd"}
PACKAGES |= {"grafana=12.3.0", "python3-jinja2", "python3-markdown"}
OF_DEBIAN = PACKAGES | {"conntrack", "iproute2", "iptables", "mount", "uidmap"}
OF_RHEL = PACKAGES | {"conntrack-tools", "iproute", "iptables-nft", "shadow-utils"}
# A process of its own: Ansible finds collections by a hook that has to be there before the first import.
PROGRAM = """
import json, sys
from ansible.plugins.loader import init_plugin_loader
wish = json.load(sys.stdin)
init_plugin_loader([wish["collections"]])
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._component.render import Renderer
loader = DataLoader()
answer = {}
for place, host in wish["hosts"].items():
    variables = host["variables"]
    renderer = Renderer(loader, Templar(loader=loader), variables, [], host["artifacts"], host["pki_dir"])
    answer[place] = {"components": [item for role in host["roles"] for item in renderer.render(role)]}
    answer[place]["secrets"] = renderer.secrets
json.dump(answer, sys.stdout)
"""
DIGEST = "sha256:" + "0" * 64
ENCRYPTION_KEYS = ["<keys/encryption-key>", "<keys/encryption-key of tomorrow>"]
Component = dict[str, Any]
Rendered = dict[str, dict[str, Any]]


def where(place: str) -> list[str]:
    """Cluster and host of a place."""
    return place.partition(" ")[0].split("/")


def issue(folder: Path, wanted: dict[str, Any]) -> None:
    """What the pki role would have made, each file with its own name as content; nothing else is there."""
    names = [f"ca/{ca['name']}.crt" for ca in wanted["cas"]]
    for line in wanted["certificates"]:
        names += [f"certs/{line.split(':')[0]}.{kind}" for kind in ("crt", "key")]
    for key in wanted["keys"]:
        names += [f"keys/{key['name']}{end}" for end in ((".key", ".pub") if key["type"] == "pair" else ("",))]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"<{name}>", encoding="ascii")
    # As in the middle of its rotation.
    (folder / "keys/encryption-key").write_text("\n".join(ENCRYPTION_KEYS), encoding="ascii")


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    """Components and secrets of each host."""
    folder = tmp_path_factory.mktemp("rendered")
    (folder / "ansible_collections" / "selfhosted").mkdir(parents=True)
    (folder / "ansible_collections" / "selfhosted" / "kubernetes").symlink_to(CHECKOUT)
    lock = yaml.safe_load((CHECKOUT / "roles/artifacts/files/lock.yml").read_text(encoding="utf-8"))
    artifacts = {
        program: {"sha256": "0" * 64, "size": 1, "version": version}
        for component in lock["components"].values()
        for version, entry in component["versions"].items()
        for program in entry["programs"]
    }
    images = {name: {"pinned": f"{image['ref']}@{DIGEST}"} for name, image in lock["images"].items()}
    wish: dict[str, Any] = {"collections": str(folder), "hosts": {}}
    for place, (facts, variables) in PLACES.items():
        cluster, host = where(place)
        derived = json.loads((GOLDEN / f"{cluster}.json").read_text(encoding="utf-8"))
        derived["pki_dir"] = derived["state_dir"] = str(folder / cluster)
        issue(folder / cluster, derived["pki"])
        roles = derived["hosts"][host]
        wish["hosts"][place] = {
            "roles": list(dict.fromkeys(roles["components"] + roles["components_late"] + roles["components_storage"])),
            "artifacts": artifacts,
            "pki_dir": derived["pki_dir"],
            "variables": {
                "inventory_hostname": host,
                "cluster_derived": derived,
                "cluster_host": {"architecture": "amd64", **facts},
                "cluster_artifacts": {"images": images, "files": {"amd64": artifacts}},
                **variables,
            },
        }
    # A second rendering of the same host, to compare.
    wish["hosts"]["again"] = wish["hosts"]["ha/m1"]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], input=json.dumps(wish), capture_output=True, text=True, check=False, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    answer: Rendered = json.loads(done.stdout)
    return answer


def text_of(host: dict[str, Any], file: dict[str, Any]) -> str:
    """A file's content, wherever it travels."""
    secret: str = host["secrets"].get(file["dest"], "")
    return base64.b64decode(secret).decode() if file["secret"] else str(file["content"])


def files_of(host: dict[str, Any]) -> Iterator[tuple[Component, dict[str, Any], str]]:
    """Component, file and text."""
    for component in host["components"]:
        for file in component["files"]:
            yield component, file, text_of(host, file)


def commands(unit: str) -> list[list[str]]:
    """What a unit executes, as words, after joining lines as systemd does."""
    lines = re.sub(r"\\\n\s*", " ", unit).splitlines()
    return [shlex.split(line.split("=", 1)[1]) for line in lines if re.match(r"Exec\w+=", line)]


@pytest.mark.parametrize("place", ["ha/m1", "external-etcd-vip/o2"])
def test_each_encryption_key_has_a_name_of_its_own(rendered: Rendered, place: str) -> None:
    """The same in the configuration and for the pki action, which says in rotations.json which is which."""
    (text,) = (text for _, file, text in files_of(rendered[place]) if file["dest"].endswith("/encryption.yaml"))
    providers = yaml.safe_load(text)["resources"][0]["providers"]
    names = [{"name": random_id(key.encode()), "secret": key} for key in ENCRYPTION_KEYS]
    assert providers == [{"secretbox": {"keys": names}}, {"identity": {}}]


@pytest.mark.parametrize("place", PLACES)
def test_documents_can_be_parsed(rendered: Rendered, place: str) -> None:
    """YAML, JSON, TOML and Python by what their names say; nothing is left of a template."""
    kinds: dict[str, int] = defaultdict(int)
    for _, file, text in files_of(rendered[place]):
        dest = file["dest"]
        kind = Path(dest).name if Path(dest).name == "kubeconfig" else Path(dest).suffix
        kinds[kind] += 1
        if kind in (".yaml", "kubeconfig"):
            assert all(document for document in yaml.safe_load_all(text)), dest
        elif kind == ".json":
            assert json.loads(text), dest
        elif kind == ".toml":
            assert tomllib.loads(text), dest
        elif kind == ".ini":
            configparser.ConfigParser(interpolation=None).read_string(text)
        elif kind == ".py":
            compile(text, dest, "exec")
        # Templates of containerd's, Prometheus's and the status page's own; Grafana's legends; Python's f-strings.
        if kind not in (".tmpl", ".rules", ".md", ".py") and "/dashboards/" not in dest:
            assert not re.search(r"\{\{|\{%|\bUndefined\b", text), dest
        assert text.endswith("\n") or text.startswith("<"), f"{dest} does not end with a line end"
    assert kinds[".service"] >= 1


def test_kinds_of_documents_are_really_there(rendered: Rendered) -> None:
    """Otherwise the test above would test nothing."""
    suffixes = {Path(file["dest"]).suffix for place in PLACES for _, file, _ in files_of(rendered[place])}
    assert {".yaml", ".json", ".toml", ".service", ".conf", ".cfg", ".crt", ".key"} <= suffixes


@pytest.mark.parametrize("place", PLACES)
def test_units_are_well_formed(rendered: Rendered, place: str) -> None:
    """Sections, keys, the component's user, and programs that are on the host."""
    for component in rendered[place]["components"]:
        unit = component["unit"]
        # An instance has the unit file of its template.
        if not unit or unit["content"] is None:
            continue
        sections: dict[str, dict[str, str]] = {}
        for line in re.sub(r"\\\n\s*", " ", unit["content"]).splitlines():
            if re.fullmatch(r"\[\w+\]", line):
                sections[line[1:-1]] = {}
            elif line and not line.startswith("#"):
                assert re.match(r"\w+=\S", line), f"{unit['name']}: {line}"
                key, value = line.split("=", 1)
                sections[list(sections)[-1]][key] = value
        timer = unit["name"].endswith(".timer")
        assert list(sections) == ["Unit", "Timer" if timer else "Service", "Install"]
        assert sections["Install"] == {"WantedBy": "timers.target" if timer else "multi-user.target"}
        assert timer or sections["Service"].get("User") == (component["user"] or {}).get("name")
        own = {binary["dest"] for binary in component["binaries"]} | {file["dest"] for file in component["files"]}
        for program, *_ in commands(unit["content"]):
            # A leading `-` lets it fail.
            assert program in own or re.match(r"-?(/usr)?/(s?bin|lib/systemd)/", program), program
        assert {"dest": f"/etc/systemd/system/{unit['name']}", "content": unit["content"]}.items() <= {
            name: component["files"][-1][name] for name in ("dest", "content")
        }.items()


@pytest.mark.parametrize("place", PLACES)
def test_flags_are_well_formed(rendered: Rendered, place: str) -> None:
    """Each once, `--name=value`, and nothing empty or in Python's notation."""
    for component in rendered[place]["components"]:
        content = (component["unit"] or {}).get("content")
        if content is None or component["name"] in ("kube-addons", "kubernetes-host"):
            continue
        own = {binary["dest"] for binary in component["binaries"]}
        for program, *words in commands(content):
            if program not in own:
                continue
            names = [word.split("=", 1)[0] for word in words]
            assert len(set(names)) == len(names), f"{component['name']}: a flag stands there twice"
            for word in words[2:] if words[:1] == ["serve"] else words:
                assert re.fullmatch(r"--[A-Za-z0-9.-]+(=\S+)?", word), f"{component['name']}: {word}"
                assert not re.search(r"=(True|False|None|\[.*|\{.*)$", word), f"{component['name']}: {word}"


@pytest.mark.parametrize("place", PLACES)
def test_paths_that_are_named_are_there(rendered: Rendered, place: str) -> None:
    """What flags, configuration, kubeconfigs and health checks name below /etc is a file or folder of a component."""
    host = rendered[place]
    known = {file["dest"] for _, file, _ in files_of(host)}
    known |= {item["path"] for component in host["components"] for item in component["directories"]}
    known |= {str(parent) for path in known for parent in Path(path).parents}
    system = {"/etc/resolv.conf", "/etc/cni/net.d", "/etc/nginx", "/etc/passwd", "/etc/hosts"}
    system.add("/etc/cni/net.d/10-containerd-net.conflist")  # containerd makes it from its template.
    system |= {"/etc/subuid", "/etc/subgid"}
    missing = set()
    for component, file, text in files_of(host):
        if (
            Path(file["dest"]).suffix in (".service", ".yaml", ".toml", ".json", ".cfg", ".conf", "")
            and "/addons/" not in (file["dest"])
        ):
            lines = [line for line in text.splitlines() if not line.strip().startswith("#")]
            found = re.findall(r"(?<![\w.])/etc/[\w./-]*\w", "\n".join(lines))
            missing |= {f"{component['name']}: {file['dest']}: {path}" for path in found if path not in known | system}
        health = component["health"] or {}
        missing |= {
            f"{component['name']}: health: {health[key]}"
            for key in ("ca", "cert", "key")
            if key in health and health[key] not in known
        }
    assert not missing, "\n".join(sorted(missing))


@pytest.mark.parametrize("place", PLACES)
def test_components_that_bring_the_same_file_agree(rendered: Rendered, place: str) -> None:
    """Otherwise each run would change it twice."""
    seen: dict[str, tuple[str, tuple[Any, ...]]] = {}
    for component, file, text in files_of(rendered[place]):
        entry = (text, file["owner"], file["group"], file["mode"], file["secret"])
        other, before = seen.setdefault(file["dest"], (component["name"], entry))
        assert before == entry, f"{file['dest']} of {other} and {component['name']}"
    folders: dict[str, tuple[str, dict[str, Any]]] = {}
    for component in rendered[place]["components"]:
        for folder in component["directories"]:
            other, kept = folders.setdefault(folder["path"], (component["name"], folder))
            assert kept == folder, f"{folder['path']} of {other} and {component['name']}"


@pytest.mark.parametrize("place", PLACES)
def test_secrets_travel_apart_and_are_private(rendered: Rendered, place: str) -> None:
    """No key is in what Ansible may print; on the host it belongs to its service alone."""
    host = rendered[place]
    printable = json.dumps(host["components"])
    assert not re.search(r"<[^>]*(\.key|encryption-key)>", printable)
    for component, file, _ in files_of(host):
        private = file["dest"].endswith(".key") or file["dest"] in host["secrets"]
        assert file["secret"] == private, file["dest"]
        user = (component["user"] or {"name": "root"})["name"]
        assert file["owner"] in ("root", user), file["dest"]
        assert re.fullmatch("0[0-7]{3}", file["mode"]), file["dest"]
        if private:
            assert (file["content"], file["mode"]) == (None, "0600"), file["dest"]
            # What systemd or root's own tools read stays root's.
            assert file["owner"] == user or file["dest"] == "/etc/etcd/pki/etcdctl.key", file["dest"]
        else:
            assert int(file["mode"], 8) & 0o444 == 0o444, f"{file['dest']}: its service could not read it"


@pytest.mark.parametrize("place", PLACES)
def test_every_certificate_of_a_host_is_used(rendered: Rendered, place: str) -> None:
    """What nobody reads need not be issued, and a pair is used as a pair."""
    cluster, host = where(place)
    planned = json.loads((GOLDEN / f"{cluster}.json").read_text(encoding="utf-8"))["pki"]["certificates"]
    names = {line.split(":")[0] for line in planned}
    texts = [text for _, _, text in files_of(rendered[place])]
    used = {match for text in texts for match in re.findall(r"<certs/([^>]+)\.crt>", text)}
    keys = {match for text in texts for match in re.findall(r"<certs/([^>]+)\.key>", text)}
    assert {name for name in names if name.startswith(f"{host}/")} <= used | embedded(texts)
    assert used == keys


def embedded(texts: list[str]) -> set[str]:
    """Names of certificates that kubeconfigs and manifests hold in base64."""
    found = set()
    for text in texts:
        for word in re.findall(r"[A-Za-z0-9+/]{16,}={0,2}", text):
            try:
                inner = base64.b64decode(word).decode("ascii")
            except ValueError:
                continue
            found |= set(re.findall(r"<certs/([^>]+)\.crt>", inner))
    return found


@pytest.mark.parametrize("place", PLACES)
def test_kubeconfigs_lead_to_an_api_server(rendered: Rendered, place: str) -> None:
    """One context, the host's own way, an identity whose key is a file or embedded."""
    for component, file, text in files_of(rendered[place]):
        if Path(file["dest"]).name not in ("kubeconfig", "admin.conf", "config"):
            continue
        document = yaml.safe_load(text)
        (cluster,), (user,), (context,) = (document[name] for name in ("clusters", "users", "contexts"))
        assert document["current-context"] == context["name"]
        assert context["context"] == {"cluster": cluster["name"], "user": user["name"]}
        # A controller is never newer than the server that it talks to: its own host's.
        own = component["name"] in ("kube-controller-manager", "kube-scheduler", "kube-addons")
        assert cluster["cluster"]["server"] == ("https://127.0.0.1:6443" if own else "https://127.0.0.1:7443")
        assert len(user["user"]) == 2


@pytest.mark.parametrize("place", PLACES)
def test_health_checks_and_names(rendered: Rendered, place: str) -> None:
    """A service proves itself in one way; a host has no component and no unit twice."""
    components = rendered[place]["components"]
    for component in components:
        ways = {"url", "tcp", "command"} & set(component["health"] or {})
        assert len(ways) == (0 if component["health"] is None else 1), component["name"]
        assert set(component["health"] or {}) <= {
            "url",
            "tcp",
            "command",
            "ca",
            "cert",
            "key",
            "status",
            "timeout_seconds",
        }
    names = [component["name"] for component in components]
    units = [component["unit"]["name"] for component in components if component["unit"]]
    assert len(set(names)) == len(names)
    assert len(set(units)) == len(units)


def test_rendering_twice_gives_the_same(rendered: Rendered) -> None:
    """This is why an unchanged run changes nothing."""
    assert rendered["again"] == rendered["ha/m1"]


@pytest.mark.parametrize("place", ["ha/m1", "external-etcd-vip/o2"])
def test_scripts_can_be_read(rendered: Rendered, place: str) -> None:
    """Wrappers by bash, others by Python, without running them."""
    host = rendered[place]
    scripts = [text for _, file, text in files_of(host) if text.startswith("#!")]
    programs = [text for text in scripts if text.startswith("#!/usr/bin/python3")]
    assert (len(programs), len(scripts)) >= (1, 2)
    for text in programs:
        compile(text, "script", "exec")
    for text in set(scripts) - set(programs):
        done = subprocess.run(["bash", "-n"], input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_addons_are_objects_of_kubernetes(rendered: Rendered) -> None:
    """Named, in a namespace where they need one, with the images of the lock."""
    manifests = [text for _, file, text in files_of(rendered["ha/m1"]) if "/etc/kubernetes/addons/" in file["dest"]]
    objects = [item for text in manifests for item in yaml.safe_load_all(text)]
    identities = [(item["kind"], item["metadata"].get("namespace"), item["metadata"]["name"]) for item in objects]
    assert len(set(identities)) == len(identities)
    assert {("Deployment", "kube-system", "coredns"), ("Deployment", "kube-system", "metrics-server")} <= set(
        identities
    )
    containers = [
        c for item in objects if item["kind"] == "Deployment" for c in item["spec"]["template"]["spec"]["containers"]
    ]
    lock = yaml.safe_load((CHECKOUT / "roles/artifacts/files/lock.yml").read_text(encoding="utf-8"))
    # By digest: anybody may push another image under the same tag.
    known = {f"{image['ref']}@{DIGEST}" for image in lock["images"].values()}
    assert {container["image"] for container in containers} <= known
    service = next(item for item in objects if (item["kind"], item["metadata"]["name"]) == ("Service", "kube-dns"))
    assert service["spec"]["clusterIP"] == "10.96.0.10"


@pytest.mark.parametrize("place", PLACES)
def test_packages_are_those_of_the_distribution(rendered: Rendered, place: str) -> None:
    """Under the names that the module asks for there."""
    facts, _ = PLACES[place]
    names = {name for component in rendered[place]["components"] for name in component["packages"]}
    assert names
    if facts["os_family"] == "RedHat":
        assert {RPM_NAMES.get(name, name) for name in names} <= OF_RHEL
    else:
        assert names <= OF_DEBIAN


def document(rendered: Rendered, place: str, dest: str) -> Any:
    """A file of a place, read."""
    (text,) = {text for _, file, text in files_of(rendered[place]) if file["dest"] == dest}
    return tomllib.loads(text) if dest.endswith(".toml") else yaml.safe_load(text)


def test_hosts_differ_by_what_they_are(rendered: Rendered) -> None:
    """The resolver behind a stub, and the interface that carries the address."""
    for place, interface in (("external-etcd-vip/m1 Ubuntu", "ens3"), ("external-etcd-vip/m1 RHEL", "enp1s0")):
        facts, _ = PLACES[place]
        assert document(rendered, place, "/etc/kubernetes/kubelet/config.yaml")["resolvConf"] == facts["resolv_conf"]
        texts = [text for _, file, text in files_of(rendered[place]) if file["dest"].endswith("keepalived.conf")]
        assert [f"interface {interface}\n" in text for text in texts] == [True]


def test_settings_lead_to_the_other_mode(rendered: Rendered) -> None:
    """And a host with iptables is cleaned by kube-proxy itself."""
    assert document(rendered, "ha/w1 iptables", "/etc/kubernetes/kube-proxy/config.yaml")["mode"] == "iptables"
    cleaned = {
        place: component["leaves"]["commands"]
        for place in ("ha/w1", "ha/w1 iptables")
        for component in rendered[place]["components"]
        if component["name"] == "kube-proxy"
    }
    assert cleaned == {"ha/w1": [], "ha/w1 iptables": [["/usr/local/bin/kube-proxy", "--cleanup"]]}
    assert document(rendered, "ha/w1 host-gw", "/etc/flannel/net-conf.json")["Backend"] == {"Type": "host-gw"}


def test_health_is_asked_where_it_is(rendered: Rendered) -> None:
    """The check for ports advises to move them."""
    urls = {item["name"]: (item["health"] or {}).get("url", "") for item in rendered["ha/m1 ports"]["components"]}
    moved = {name: url for name, url in urls.items() if ":11" in url}
    assert moved == {
        "kube-controller-manager": "https://127.0.0.1:11257/healthz",
        "kube-scheduler": "https://127.0.0.1:11259/readyz",
        "kubelet": "http://127.0.0.1:11248/healthz",
        "kube-proxy": "http://127.0.0.1:11256/healthz",
    }


def test_logs_go_to_every_outside_host(rendered: Rendered) -> None:
    """Pods' logs by one vlagent, the journal by one sender for each; the audit log from masters alone."""
    components = {item["name"]: item for item in rendered["external-etcd-vip/m1"]["components"]}
    (words,) = commands(components["vlagent"]["unit"]["content"])
    assert "--remoteWrite.url=https://192.0.2.3:9428/insert/native,https://192.0.2.4:9428/insert/native" in words
    assert "--auditLog=/var/log/kubernetes/audit.log" in words
    for name, address in (("o1", "192.0.2.3"), ("o2", "192.0.2.4")):
        assert f"systemd-journal-upload@{name}" in components
        (text,) = (
            text
            for _, file, text in files_of(rendered["external-etcd-vip/m1"])
            if file["dest"] == f"/etc/journal-upload/{name}"
        )
        assert text == f"STORE=https://{address}:9428/insert/journald\n"
    assert "vlagent" not in {item["name"] for item in rendered["external-etcd-vip/e1"]["components"]}


def test_every_registry_leads_to_the_outside_one(rendered: Rendered) -> None:
    """Those that are listed to the folder of their name, it itself to the top, all others to where nothing is."""
    derived = json.loads((GOLDEN / "ha.json").read_text(encoding="utf-8"))["registry"]
    folder = "/etc/containerd/certs.d/"
    servers = {
        file["dest"].removeprefix(folder).removesuffix("/hosts.toml"): tomllib.loads(text)
        for _, file, text in files_of(rendered["ha/w1"])
        if file["dest"].startswith(folder)
    }
    base = f"{derived['url']}/v2"
    assert {name: content["server"] for name, content in servers.items()} == {
        **{name: f"{base}/{name}" for name in ("docker.io", "ghcr.io", "quay.io", "registry.k8s.io")},
        derived["address"]: base,
        "_default": f"{base}/unlisted",
    }
    assert all(list(content["host"]) == [content["server"]] for content in servers.values())


def test_a_registry_that_is_not_isolated_has_caches_and_upstream(rendered: Rendered) -> None:
    """In this order: what was put there, its cache of upstream, upstream; its own images are nowhere else."""
    derived = json.loads((GOLDEN / "ha.json").read_text(encoding="utf-8"))["registry"]
    (folder, url), dest = ("/etc/containerd/certs.d", derived["url"]), "{}/{}/hosts.toml"
    ghcr = document(rendered, "ha/w1 open", dest.format(folder, "ghcr.io"))
    assert (list(ghcr["host"]), ghcr.get("server")) == ([f"{url}/v2/ghcr.io", f"{url}/proxy/ghcr.io/v2"], None)
    own = document(rendered, "ha/w1 open", dest.format(folder, derived["address"]))
    assert (list(own["host"]), own["server"]) == ([f"{url}/v2"], f"{url}/v2")
    names = {component["name"] for component in rendered["ha/o1 open"]["components"]}
    assert names >= {f"registry-proxy-{name}" for name in ("docker.io", "ghcr.io", "quay.io", "registry.k8s.io")}
    files = {file["dest"]: text for _, file, text in files_of(rendered["ha/o1 open"])}
    assert files["/etc/registry/nginx.conf"].count("location /proxy/") == 4


def test_the_registry_knows_its_users(rendered: Rendered) -> None:
    """Who may push may also pull, nobody else pushes; nodes are `pull`."""
    files = {file["dest"]: text for _, file, text in files_of(rendered["ha/o1 open"])}
    users = {
        name: [line.split(":")[0] for line in files[f"/etc/registry/{name}.htpasswd"].splitlines()]
        for name in ("pull", "push")
    }
    assert users == {"pull": ["alice", "bob", "pull", "push"], "push": ["alice", "push"]}
    header = base64.b64encode(b"pull:<keys/registry-pull>").decode()
    hosts = document(rendered, "ha/w1", "/etc/containerd/certs.d/ghcr.io/hosts.toml")["host"]
    assert [host["header"] for host in hosts.values()] == [{"authorization": f"Basic {header}"}]


@pytest.fixture
def git_access(rendered: Rendered, tmp_path: Path) -> Callable[[str, str], str]:
    """What a user's key does with what its owner's ssh asks for: the call of git-shell, or why not."""
    files = {file["dest"]: text for _, file, text in files_of(rendered["external-etcd-vip/o2"])}
    (tmp_path / "rights").write_text(files["/etc/git/rights"], encoding="ascii")
    for name, text in (("git-shell", 'echo "$@"'), ("logger", ":")):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n", encoding="ascii")
        (tmp_path / name).chmod(0o755)
    script = files["/usr/local/libexec/git-access"].replace("/etc/git/rights", str(tmp_path / "rights"))

    def run(who: str, asked: str) -> str:
        environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "SSH_ORIGINAL_COMMAND": asked}
        argv = ["sh", "-c", script, "git-access", who]
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode == 0) is bool(done.stdout)
        return (done.stdout or done.stderr).strip()

    return run


@pytest.mark.parametrize(
    ("who", "asked", "does"),
    [
        ("alice", "git-receive-pack '/app.git'", "-c git-receive-pack '/var/lib/git/app.git'"),
        ("alice", "git-upload-pack 'app'", "-c git-upload-pack '/var/lib/git/app.git'"),
        ("bob", "git-upload-pack '/app.git'", "-c git-upload-pack '/var/lib/git/app.git'"),
        ("bob", "git-receive-pack '/app.git'", "bob: you may not push to app"),
        ("bob", "git-upload-pack '/base.git'", "bob: there is no repository base that you may see"),
        ("alice", "git-upload-pack '/../../etc'", "alice: there is no such repository"),
        ("bob", "git-upload-pack '/base\napp bob r'", "bob: there is no such repository"),
        ("bob", "git-upload-pack '/app.git'; id '", "bob: there is no such repository"),
        ("alice", "", "alice: this server has repositories to clone, fetch and push, and nothing else"),
        (
            "alice",
            "git-upload-pack /app.git",
            "alice: this server has repositories to clone, fetch and push, and nothing else",
        ),
    ],
)
def test_rights_in_repositories(git_access: Callable[[str, str], str], who: str, asked: str, does: str) -> None:
    """Alice pushes to `app`, Bob reads it, nobody is named for `base`."""
    assert git_access(who, asked) == does


# `ls` answers as the numbers say, one each 5 s; what else is called is said.
WATCHED = {
    "sleep": 'test -s answers && echo "$(($(cat now) + 5))" >now',
    "date": "cat now",
    "systemctl": 'echo "$@"',
    "timeout": """shift 2
[ "$1" = ls ] || { shift; echo "$@"; exit; }
answer=$(head -1 answers); sed -i 1d answers; exit $answer""",
}
TOLD = "/usr/local/lib/selfhosted-kubernetes/ceph/metrics.py /var/lib/cephfs {}/cephfs.prom"


@pytest.mark.parametrize(
    ("place", "answers", "said"),
    [
        # Each minute; on masters with volumes and snapshots.
        ("storage/w1", [0] * 13, [TOLD, TOLD]),
        ("storage/m1", [0], [f"{TOLD} 1h sh"]),
        ("storage/w1 kernel", [0, 2, 2], [TOLD]),
        # An eviction, a client that starts again just now, a storage that is away.
        ("storage/w1", [2, 2, 2, 0], [TOLD, "restart cephfs.service"]),
        ("storage/w1", [2, 0, 2, 124, 2], [TOLD]),
        ("storage/w1", [124, 137, 124], [TOLD]),
    ],
)
def test_a_node_watches_its_file_system(
    rendered: Rendered, tmp_path: Path, place: str, answers: list[int], said: list[str]
) -> None:
    """It says that it answers, and starts it again when the node was evicted."""
    for name, text in WATCHED.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n", encoding="ascii")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "now").write_text("1800000000", encoding="ascii")
    (tmp_path / "answers").write_text("".join(f"{it}\n" for it in answers), encoding="ascii")
    (script,) = (text for _, file, text in files_of(rendered[place]) if file["dest"].endswith("/cephfs-watch"))
    script = script.replace("/var/lib/node-exporter", str(tmp_path))
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    argv = ["sh", "-c", script]
    done = subprocess.run(argv, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    lines = [line for line in done.stdout.splitlines() if "was this node evicted" not in line]
    assert (lines, done.stderr) == ([line.format(tmp_path) for line in said], "")


def test_pause_is_pinned_by_digest(rendered: Rendered) -> None:
    """Without a tag: containerd compares this name with the one it keeps."""
    config = document(rendered, "ha/w1", "/etc/containerd/config.toml")
    pinned = config["plugins"]["io.containerd.cri.v1.images"]["pinned_images"]
    assert pinned == {"sandbox": f"registry.k8s.io/pause@{DIGEST}"}


def test_prometheus_and_alertmanager_take_their_configuration(
    rendered: Rendered, tmp_path: Path, tool: Callable[[str], str]
) -> None:
    """By their own tools, with users' rules, receivers and routes."""
    for _, file, text in files_of(rendered["external-etcd-vip/o2"]):
        path = tmp_path / file["dest"].lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("/etc/", f"{tmp_path}/etc/"), encoding="utf-8")
    folder = tmp_path / "etc/monitoring"
    for program, *arguments in (
        ("promtool", "check", "config", "prometheus.yaml"),
        ("amtool", "check-config", "alertmanager.yaml"),
    ):
        argv = [tool(program), *arguments]
        done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_status_page_brings_all_that_it_needs(rendered: Rendered) -> None:
    """Its program with templates, the documentation, every host, and of root's folder its records alone."""
    place = "external-etcd-vip/o2"
    files = {file["dest"]: text for _, file, text in files_of(rendered[place])}
    library = "/usr/local/lib/selfhosted-kubernetes/status_page/"
    sources = CHECKOUT / "plugins/module_utils/_status_page"
    shipped = {path.removeprefix(library) for path in files if path.startswith(library)}
    assert shipped == {path.name for path in sources.iterdir() if path.is_file()}
    docs = "/usr/local/share/selfhosted-kubernetes/docs/"
    pages = {path.removeprefix(docs) for path in files if path.startswith(docs)}
    assert pages == {str(path.relative_to(CHECKOUT / "docs")) for path in (CHECKOUT / "docs").rglob("*.md")}
    settings = document(rendered, place, "/etc/status-page/settings.json")
    assert [host["name"] for host in settings["hosts"]] == ["e1", "m1", "o1", "o2"]
    assert settings["versions"]["flanneld"].startswith("0.")
    assert settings["links"] == GRAFANA["status_page_links"]
    for host in ("e1", "m1", "o2"):
        components = {item["name"] for item in rendered[f"external-etcd-vip/{host}"]["components"]}
        (listed,) = ({it["name"] for it in shown["components"]} for shown in settings["hosts"] if shown["name"] == host)
        assert listed <= components, host
    unit = files["/etc/systemd/system/status-page-build.service"]
    assert "TemporaryFileSystem=/var/lib/backup:ro\n" in unit
    (bound,) = re.findall(r"^BindReadOnlyPaths=(.*)$", unit, re.MULTILINE)
    records = ("runs", "drills", "rebuilds", "redeploys", "outages")
    assert bound.split() == [f"-/var/lib/backup/{name}.jsonl" for name in records]


def test_grafana_is_provisioned(rendered: Rendered) -> None:
    """One version of a package that is verified, data sources of all outside hosts, and all dashboards."""
    place = "external-etcd-vip/o2"
    (component,) = (it for it in rendered[place]["components"] if it["name"] == "grafana-server")
    assert component["packages"] == ["grafana=12.3.0"]
    first = {file["dest"] for file in component["files"] if file.get("before_packages")}
    assert first == {"/etc/apt/sources.list.d/grafana.sources", "/etc/apt/preferences.d/grafana"}
    files = {file["dest"]: text for _, file, text in files_of(rendered[place])}
    assert files["/etc/apt/sources.list.d/grafana.sources"].endswith(
        "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n xsFN\n -----END PGP PUBLIC KEY BLOCK-----\n"
    )
    folder = "/etc/monitoring/grafana"
    sources = document(rendered, place, f"{folder}/provisioning/datasources/kubernetes.yaml")["datasources"]
    assert [(it["name"], it["url"], it["isDefault"]) for it in sources] == [
        ("Prometheus on o1", "https://192.0.2.3:9090", False),
        ("Prometheus on o2", "https://192.0.2.4:9090", True),
    ]
    named = {text[len("$__file{") : -1] for it in sources for text in it["secureJsonData"].values()}
    assert named == {"/etc/kubernetes/pki/outside-ca.crt", f"{folder}/client.crt", f"{folder}/client.key"}
    (provider,) = document(rendered, place, f"{folder}/provisioning/dashboards/kubernetes.yaml")["providers"]
    boards = {Path(path).name for path in files if path.startswith(f"{provider['options']['path']}/")}
    # This cluster has no storage.
    there = {path.name for path in (CHECKOUT / "roles/grafana/files/dashboards").iterdir()}
    assert boards == there - {"storage.json"}
    settings = configparser.ConfigParser(interpolation=None)
    settings.read_string(files[f"{folder}/grafana.ini"])
    assert settings["security"]["admin_password"] == "$__file{/etc/monitoring/grafana/admin-password}"
    assert settings["smtp"]["password"] == '"""a;b"c"""'
    assert settings["auth.ldap"]["enabled"] == "true"
    assert {f"{folder}/grafana.ini", f"{folder}/admin-password"} <= rendered[place]["secrets"].keys()
