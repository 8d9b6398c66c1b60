# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""rotate_certificates.yml, killed in each phase: it and the role pki are real, a site run is that role alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[4]
OURS = {"masters": ["m1", "m2"], "workers": ["w1"], "outside": ["o1"]}
WANTED = {
    "cas": [{"name": "etcd", "cn": "etcd-ca"}],
    "certificates": [{"name": "m1/etcd", "ca": "etcd", "cn": "m1", "usages": ["server"], "dns": ["m1"]}],
    "keys": [{"name": "sa", "type": "pair"}],
}
# SIGKILL of the run (a task is a child of it), when the control node has what is new and no host has got it.
SITE: list[dict[str, Any]] = [
    {
        "hosts": ":".join(OURS),
        "gather_facts": False,
        "any_errors_fatal": True,
        "tasks": [
            {"ansible.builtin.import_role": {"name": "selfhosted.kubernetes.pki", "rolespec_validate": False}},
            {
                "ansible.builtin.debug": {
                    "msg": "{{ lookup('ansible.builtin.pipe', 'kill -KILL $(ps -o ppid= $PPID)') }}"
                },
                "when": "rotate_phase == dies | default('')",
            },
        ],
    }
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An inventory, and the playbook beside a site.yml of its own."""
    link = tmp_path / "ansible_collections" / "selfhosted" / "kubernetes"
    link.parent.mkdir(parents=True)
    link.symlink_to(CHECKOUT)
    pki = str(tmp_path / "pki")
    local = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    ours = {group: {"hosts": dict.fromkeys(names), "vars": local} for group, names in OURS.items()}
    inventory = {
        "vars": {
            "pki_dir": pki,
            "pki_wanted": WANTED,
            "cluster_derived": {"pki_dir": pki, "outside_services": []},
            "rotate_settle_seconds": 1,
        },
        # Nobody can reach it, and nobody has to.
        "children": {**ours, "others": {"hosts": {"db1": {"ansible_host": "127.0.0.1", "ansible_port": 1}}}},
    }
    (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": inventory}))
    (tmp_path / "site.yml").write_text(yaml.safe_dump(SITE))
    playbook = CHECKOUT / "playbooks/rotate_certificates.yml"
    (tmp_path / playbook.name).write_text(playbook.read_text())
    (tmp_path / "parts").symlink_to(CHECKOUT / "playbooks/parts")
    return tmp_path


def run(folder: Path, *variables: str) -> tuple[int, str]:
    """Exit code, which is below zero after a signal, and output."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    done = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("ansible-playbook")), "-i", "hosts.yml", "rotate_certificates.yml"),
            *(word for variable in variables for word in ("-e", variable)),
        ],
        cwd=folder,
        env={**environment, "ANSIBLE_COLLECTIONS_PATH": str(folder), "ANSIBLE_NOCOLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("variable", "file"), [("rotate_ca=etcd", "ca/etcd.crt"), ("rotate_keys=service-account", "keys/sa.pub")]
)
def test_killed_in_each_phase(folder: Path, variable: str, file: str) -> None:
    """The same command again goes on where it was, and ends with one that is not the old one."""
    code, output = run(folder)
    assert code == 0, output
    old = (folder / "pki" / file).read_bytes()
    key = (folder / "pki" / file).with_suffix(".key")
    first = key.read_bytes()
    for phase, size in {"trust": 2, "issue": 2, "drop": 1}.items():
        code, output = run(folder, variable, f"dies={phase}")
        assert code == -9, output
        trusted = (folder / "pki" / file).read_bytes()
        assert trusted.count(b"BEGIN") == size
        assert (old in trusted) == (phase != "drop")
        assert (key.read_bytes() == first) == (phase == "trust")
        assert (folder / "pki/rotations.json").exists()
    code, output = run(folder, variable)
    assert code == 0, output
    assert (folder / "pki" / file).read_bytes() == trusted
    assert not (folder / "pki/rotations.json").exists()
    assert not list((folder / "pki").rglob("*.next.*"))
