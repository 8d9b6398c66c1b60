# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action and module together in a real ansible-playbook, in check mode on this machine: nothing is changed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[4]
PASSWORD = "hunter2-correct-horse"
KEY = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A playbook with a role of its own beside it, whose files go below the folder."""
    link = tmp_path / "collections/ansible_collections/selfhosted/kubernetes"
    link.parent.mkdir(parents=True)
    link.symlink_to(CHECKOUT)
    dest = tmp_path / "host"
    files = [
        {"dest": f"{dest}/toy.ini", "template": "toy.ini.j2"},
        {"dest": f"{dest}/password", "content": "{{ toy_password }}\n", "secret": True},
        {"dest": f"{dest}/toy.key", "pki": "toy.key"},
    ]
    options = {
        "toy_greeting": {"type": "str"},
        "toy_names": {"type": "list"},
        "toy_port": {"type": "int"},
        "toy_password": {"type": "str"},
    }
    documents: dict[str, Any] = {
        "roles/toy/defaults/main.yml": {
            "toy_greeting": "hello",
            "toy_names": [],
            "toy_port": 80,
            "toy_password": PASSWORD,
        },
        "roles/toy/meta/argument_specs.yml": {"argument_specs": {"main": {"options": options}}},
        "roles/toy/vars/main.yml": {"toy_component": {"name": "toy-of-a-unit-test", "files": files}},
        "play.yml": [
            {
                "hosts": "localhost",
                "gather_facts": False,
                "vars": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable},
                "tasks": [
                    {"selfhosted.kubernetes.component": {"roles": ["toy"], "artifacts": {}, "pki_dir": str(tmp_path)}}
                ],
            }
        ],
    }
    for name, document in documents.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(yaml.safe_dump(document), encoding="utf-8")
    (tmp_path / "roles/toy/templates").mkdir()
    (tmp_path / "roles/toy/templates/toy.ini.j2").write_text("greeting={{ toy_greeting }}\nport={{ toy_port + 1 }}\n")
    (tmp_path / "toy.key").write_text(KEY)
    (tmp_path / "ansible.cfg").write_text("[defaults]\n")
    return tmp_path


def check(folder: Path, *options: str) -> tuple[int, str]:
    """Exit code and output of the playbook in check mode."""
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(folder / "collections"),
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_NOCOLOR": "1",
    }
    done = subprocess.run(
        [str(Path(sys.executable).parent / "ansible-playbook"), "play.yml", "--check", *options],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_no_secret_in_any_output(folder: Path) -> None:
    """At the loudest, with diffs, of files that are new and of one that differs."""
    (folder / "host").mkdir()
    (folder / "host/password").write_text("the-old-secret\n")
    code, output = check(folder, "-vvvv", "--diff")
    assert code == 0, output
    assert "+greeting=hello" in output
    assert "+port=81" in output
    assert "(secret: content differs)" in output
    assert "create " + str(folder / "host/toy.key") in output
    assert [secret for secret in (PASSWORD, "the-old-secret", "MIGHAgEAMBMGByqGSM49") if secret in output] == []
    assert [path.name for path in (folder / "host").iterdir()] == ["password"]


def test_after_a_host_that_was_not_reached_nothing_more_is_changed(folder: Path) -> None:
    """One host at a time: the second does not answer, so the third and later plays stay as they are."""
    (play,) = yaml.safe_load((folder / "play.yml").read_text())
    play |= {"hosts": "all", "serial": 1, "any_errors_fatal": True}
    (folder / "play.yml").write_text(yaml.safe_dump([play, {**play, "hosts": "h1:h2"}]))
    (folder / "hosts").write_text("h1\nh2 ansible_host=127.0.0.1 ansible_port=1\nh3\n")
    remote = "{{ 'ssh' if inventory_hostname == 'h2' else 'local' }}"
    code, output = check(folder, "-i", "hosts", "-e", json.dumps({"ansible_connection": remote}))
    assert code, output
    assert re.findall(r"^(?:changed|ok|fatal): \[(h\d)\]", output, re.MULTILINE) == ["h1", "h2", "h3"], output
    assert "h2: not reached, or failed, earlier in this run (see above). So nothing more was changed" in output


def test_wrong_values_are_all_named_before_the_host_is_asked(folder: Path) -> None:
    """One error for the role, without a traceback."""
    code, output = check(folder, "-e", '{"toy_port": "eighty", "toy_names": {"a": 1}, "ansible_connection": "ssh"}')
    assert code == 2
    assert "role toy: " in output
    assert "toy_port" in output
    assert "toy_names" in output
    assert "Traceback" not in output


def test_missing_certificate_says_who_issues_it(folder: Path) -> None:
    """The path on the control node, and what to run."""
    (folder / "toy.key").unlink()
    code, output = check(folder)
    assert code == 2
    assert f"certificate or key {folder}/toy.key: No such file or directory; the pki role issues it" in " ".join(
        output.split()
    )
