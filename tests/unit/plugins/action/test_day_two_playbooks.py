# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What day-two playbooks refuse before they contact any host, and what they say of hosts that do not answer."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[4]
HOSTS = {"masters": ["m1", "m2"], "workers": ["w1"], "outside": ["o1"]}
CONFIRM = "will be lost; if you mean it, set it to the name of the cluster, production"


def play(
    folder: Path, name: str, *variables: str, hosts: dict[str, list[str]] | None = None, limit: str = "all"
) -> tuple[int, str]:
    """Exit code and output. A refusal ends with 2; a host that is contacted is unreachable, which ends with 4."""
    link = folder / "ansible_collections" / "selfhosted" / "kubernetes"
    link.parent.mkdir(parents=True)
    link.symlink_to(CHECKOUT)
    children = {group: {"hosts": dict.fromkeys(names)} for group, names in (hosts or HOSTS).items()}
    nobody = {"ansible_host": "127.0.0.1", "ansible_port": 1, "cluster_name": "production"}
    (folder / "hosts.yml").write_text(yaml.safe_dump({"all": {"children": children, "vars": nobody}}))
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    done = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(folder / "hosts.yml")),
            str(CHECKOUT / "playbooks" / f"{name}.yml"),
            *(word for variable in variables for word in ("-e", variable)),
            *(("--limit", limit) if limit != "all" else ()),
        ],
        env={**environment, "ANSIBLE_COLLECTIONS_PATH": str(folder), "ANSIBLE_NOCOLOR": "1", "COLUMNS": "400"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, " ".join((done.stdout + done.stderr).split())


@pytest.mark.parametrize(
    ("variables", "errors"),
    [
        ([], ["reset_hosts: no host is named; give their names in the inventory, as w1,w2"]),
        (["reset_hosts=w1"], [f"reset_confirm: all data of w1 {CONFIRM}"]),
        (["reset_hosts=w1", "reset_confirm=yes"], [f"reset_confirm: all data of w1 {CONFIRM}"]),
        (
            ['{"reset_hosts": "w1, w9,workers"}'],
            ["reset_hosts: the inventory has no host w9, workers;", f"all data of w1, w9, workers {CONFIRM}"],
        ),
        (['{"reset_hosts": ["all"], "reset_confirm": "production"}'], ["reset_hosts: the inventory has no host all;"]),
    ],
)
def test_reset_refuses(tmp_path: Path, variables: list[str], errors: list[str]) -> None:
    """All that is wrong at once, and no host is contacted."""
    code, output = play(tmp_path, "reset", *variables)
    assert code == 2
    for error in errors:
        assert error in output


def test_reset_leaves_no_named_host_out(tmp_path: Path) -> None:
    """As if it were clean now; a --limit that leaves out others does no harm."""
    code, output = play(tmp_path / "1", "reset", "reset_hosts=w1,m2,m1", "reset_confirm=production", limit="w1,o1")
    assert code == 2
    assert "--limit: it leaves out m1, m2, which reset_hosts names; leave it away" in output
    assert play(tmp_path / "2", "reset", "reset_hosts=w1", "reset_confirm=production", limit="w1")[0] == 4


def test_reset_contacts_named_hosts_alone(tmp_path: Path) -> None:
    """Here they cannot be reached."""
    code, output = play(tmp_path, "reset", "reset_hosts=w1,m2", "reset_confirm=production")
    assert code == 4
    assert {
        name
        for name in ("m1", "m2", "w1", "o1")
        if f"[ERROR]: Task failed: {name}" in output or f"fatal: [{name}]: UNREACHABLE" in output
    } == {"w1", "m2"}


@pytest.mark.parametrize(
    ("variables", "hosts", "error"),
    [
        ([], HOSTS, "node: the inventory has no host ; give one of m1, m2, o1, w1"),
        (["node=w2"], HOSTS, "node: the inventory has no host w2; give one of m1, m2, o1, w1"),
        (["node=o1"], HOSTS, "o1 is an outside host, no part of the cluster; reset.yml cleans it"),
        (["node=m1"], {**HOSTS, "masters": ["m1"]}, "m1 is the last master: without it there is no cluster;"),
        (["node=m1"], {**HOSTS, "etcd": ["m1"]}, "m1 is the last host with etcd: all data would be lost;"),
    ],
)
def test_remove_node_refuses(tmp_path: Path, variables: list[str], hosts: dict[str, list[str]], error: str) -> None:
    """One clear error, and no host is contacted."""
    code, output = play(tmp_path, "remove_node", *variables, hosts=hosts)
    assert code == 2
    assert error in output


@pytest.mark.parametrize(
    ("variables", "hosts", "error"),
    [
        ([], HOSTS, "node: no host with etcd is called ; give one of m1, m2"),
        (["node=w1"], HOSTS, "node: no host with etcd is called w1; give one of m1, m2"),
        (["node=m1"], {**HOSTS, "etcd": ["m2"]}, "node: no host with etcd is called m1; give one of m2"),
        (["node=m1"], {**HOSTS, "masters": ["m1"]}, "m1 is the last host with etcd: nobody else has its data;"),
    ],
)
def test_replace_etcd_member_refuses(
    tmp_path: Path, variables: list[str], hosts: dict[str, list[str]], error: str
) -> None:
    """One clear error, and no host is contacted."""
    code, output = play(tmp_path, "replace_etcd_member", *variables, hosts=hosts)
    assert code == 2
    assert error in output


LOSES = "members of etcd other than m1 are given up with what only they have; if you mean it, set it to the name of the"


@pytest.mark.parametrize(
    ("variables", "errors"),
    [
        ([], ["recover_from: no host with etcd is called ; give one of m1, m2", "recover_confirm: members of etcd"]),
        (["recover_from=w1", "recover_confirm=production"], ["recover_from: no host with etcd is called w1; give one"]),
        (["recover_from=m1"], [f"recover_confirm: {LOSES} cluster, production"]),
        (["recover_from=m1", "recover_confirm=yes"], [f"recover_confirm: {LOSES} cluster, production"]),
        (
            ["recover_from=m1", "recover_confirm=production", "recover_snapshot=/nowhere/at.db"],
            ["recover_snapshot: the control node has no file /nowhere/at.db"],
        ),
    ],
)
def test_recover_quorum_refuses(tmp_path: Path, variables: list[str], errors: list[str]) -> None:
    """All that is wrong at once, and no host is contacted."""
    code, output = play(tmp_path, "recover_quorum", *variables)
    assert code == 2
    for error in errors:
        assert error in output


NO_BACKUP = "cluster_outside_services: the cluster has no backup; add backup, and run site.yml"
LATER = "restore_confirm: all that was written after the backup will be lost; if you mean it, set it to the name of the"


@pytest.mark.parametrize(
    ("variables", "errors"),
    [
        ([], [NO_BACKUP, f"{LATER} cluster, production"]),
        (["restore_confirm=yes"], [f"{LATER} cluster, production"]),
        (["restore_from=m1"], ["restore_from: no outside host is called m1; give one of o1"]),
        (["restore_apply=true", "restore_confirm=production"], ["restore_apply: it puts back what `object` names;"]),
        (["object=secret/shop/db"], [NO_BACKUP]),
    ],
)
def test_restore_refuses(tmp_path: Path, variables: list[str], errors: list[str]) -> None:
    """All that is wrong at once, and no host is contacted."""
    code, output = play(tmp_path, "restore", *variables)
    assert code == 2
    for error in errors:
        assert error in output
    assert (LATER in output) is not any(it.startswith(("object", "restore_confirm=production")) for it in variables)


WIPED = "drill_destroy: all masters of this cluster will be wiped; if you mean it, set it to the name of the cluster,"


@pytest.mark.parametrize(
    ("name", "variables", "errors"),
    [
        ("drill_rebuild", [], [NO_BACKUP, WIPED]),
        ("drill_rebuild", ["drill_destroy=lab"], [WIPED]),
        ("drill_rebuild", ["drill_destroy=production"], [NO_BACKUP]),
        (
            "drill_redeploy",
            [],
            ["cluster_outside_services: the cluster has no ci; add ci", "ci_jobs: no repository", WIPED],
        ),
        ("drill_outage", ["drill_confirm=lab"], ["drill_confirm: all control planes will be stopped for a minute;"]),
    ],
)
def test_drills_that_destroy_refuse(tmp_path: Path, name: str, variables: list[str], errors: list[str]) -> None:
    """All that is wrong at once, and no host is contacted."""
    code, output = play(tmp_path, name, *variables)
    assert code == 2
    for error in errors:
        assert error in output


def test_restore_stops_nothing_while_hosts_do_not_answer(tmp_path: Path) -> None:
    """Who is unreachable is only left out of later plays, by Ansible; the step asks for all."""
    addresses = "{{ '192.0.2.' ~ (groups.all.index(inventory_hostname) + 1) }}"
    passwords = {"backup_password": "correct-horse-battery", "backup_state_password": "staple-correct-horse"}
    given = {"cluster_outside_services": ["backup"], "cluster_host_ip": addresses, "restore_confirm": "production"}
    code, output = play(tmp_path, "restore", json.dumps(given | passwords), hosts={**HOSTS, "masters": ["m1"]})
    assert code != 0
    assert "TASK [Fetch and verify it]" in output
    assert "TASK [Stop etcd]" not in output
    assert "[o1]: UNREACHABLE" in output
    assert "[w1]: UNREACHABLE" not in output


@pytest.mark.parametrize(
    "name", ["remove_node", "replace_etcd_member", "recover_quorum", "restore", "drill_rebuild", "drill_redeploy"]
)
def test_no_host_is_left_out(tmp_path: Path, name: str) -> None:
    """By mistake: with --limit who takes a member out would be missing, and only the wiping be left."""
    code, output = play(tmp_path, name, "node=m1", "recover_from=m1", "recover_confirm=production", limit="m1")
    assert code == 2
    assert "--limit: " in output
    assert "UNREACHABLE" not in output


def test_check_of_hosts_that_do_not_answer(tmp_path: Path) -> None:
    """Each is a line of its own and no abort; variables that no cluster can have hide nothing."""
    report = tmp_path / "health.json"
    code, output = play(tmp_path, "check", f"check_report={report}", "cluster_pod_network=nonsense")
    assert code == 2
    assert "hosts 0 of 4 answer" in output
    said = json.loads(report.read_text())
    silent = [it for it in said["findings"] if it["area"] == "hosts"]
    assert {name for it in silent for name in it["hosts"]} == {"m1", "m2", "w1", "o1"}
    assert {it["level"] for it in silent} == {"failure"}
    assert [it["what"] for it in silent if "Connection refused" not in it["what"]] == []
    assert f"{said['counts']['failures']} failure(s) and 0 warning(s), listed above" in output
    others = {(it["area"], *it["hosts"]) for it in said["findings"] if it["area"] != "hosts"}
    assert others == {("etcd", "m1", "m2"), ("API servers", "m1", "m2")}


def test_check_of_no_host_is_a_failure(tmp_path: Path) -> None:
    """A mistyped group or inventory must not look like a cluster that is well."""
    code, output = play(tmp_path, "check", hosts={"master": ["m1"], "workers": []})
    assert code == 2
    assert "FAIL hosts: inventory: there is no host in the groups etcd, masters, workers and outside" in output
    assert "1 failure(s) and 0 warning(s), listed above" in output


def test_check_leaves_other_machines_alone(tmp_path: Path) -> None:
    """They have no components, and are none of our business."""
    code, output = play(tmp_path, "check", hosts={"workers": ["w1"], "printers": ["p1"]})
    assert code == 2
    assert "hosts 0 of 1 answer" in output
    assert "p1" not in output


def test_why_asks_the_hosts_where_no_api_server_answers(tmp_path: Path) -> None:
    """Here none can be reached: each is named, and so is what is missing."""
    code, output = play(tmp_path, "why", "pod=shop/web", f"why_answer={tmp_path}/why.json")
    assert code == 2
    assert "does not answer: connect to host 127.0.0.1 port 1: Connection refused" in output
    assert "API servers: m1, m2: no API server answers" in output
    assert "no API server answers: no master can be reached (m1, m2): connect to host 127.0.0.1 port 1:" in output
    assert "no node that can be reached has a log of it not known: m1, m2, w1 cannot be reached" in output
    said = json.loads((tmp_path / "why.json").read_text())
    assert (said["state"], said["cause"]["code"]) == ("unreachable", "MastersUnreachable")


def test_why_needs_a_name(tmp_path: Path) -> None:
    """One clear error, and no host is contacted."""
    code, output = play(tmp_path, "why")
    assert code == 2
    assert "say what is meant: -e pod=NAMESPACE/NAME" in output


def test_status_without_an_api_server(tmp_path: Path) -> None:
    """It names what to run instead."""
    code, output = play(tmp_path, "status")
    assert code == 2
    assert "no API server answers: ansible-playbook … selfhosted.kubernetes.check says what is broken" in output


@pytest.mark.parametrize(
    ("variables", "errors"),
    [
        (["rotate_ca=etdc"], ["rotate_ca: there is no etdc; give one of kubernetes, etcd, front-proxy, outside"]),
        (["rotate_keys=sa"], ["rotate_keys: there is no sa; give one of service-account, encryption"]),
        (
            ["rotate_ca=etcd", "rotate_keys=encryption"],
            ["rotate_ca, rotate_keys: give one of them, and run again for the other"],
        ),
        (["rotate_until=issue", "rotate_ca=etcd"], ["rotate_until: it takes trust alone, with rotate_ca"]),
        (
            ["rotate_until=trust", "rotate_keys=sa"],
            ["rotate_until: it takes trust alone, with rotate_ca", "rotate_keys: there is no sa"],
        ),
    ],
)
def test_rotate_certificates_refuses(tmp_path: Path, variables: list[str], errors: list[str]) -> None:
    """All that is wrong at once, and no host is contacted."""
    code, output = play(tmp_path, "rotate_certificates", *variables)
    assert code == 2
    for error in errors:
        assert error in output


def test_rotate_certificates_takes_no_limit(tmp_path: Path) -> None:
    """A host that does not follow is locked out."""
    code, output = play(tmp_path, "rotate_certificates", "rotate_ca=etcd", limit="w1")
    assert code == 2
    assert "--limit: every host has to follow, or it is locked out; leave it away" in output


EXISTS = 'Error from server (AlreadyExists): error when creating "a.json": persistentvolumes "a" already exists'
FORBIDDEN = 'Error from server (Forbidden): error when creating "b.json": persistentvolumes is forbidden'


@pytest.mark.parametrize(
    ("ends", "out", "errors", "code", "changed"),
    [
        (0, "persistentvolume/a created", [], 0, 1),
        (1, "persistentvolume/b created", [EXISTS, EXISTS], 0, 1),
        (1, "", [EXISTS], 0, 0),
        (1, "", ['error: the path "/var/lib/cephfs/.claims" does not exist'], 0, 0),
        (1, "persistentvolume/c created", [EXISTS, FORBIDDEN, EXISTS], 2, 0),
        (1, "", ["The connection to the server m1:6443 was refused"], 2, 0),
        (137, "", [], 2, 0),
    ],
)
def test_storage_adopt_tells_errors_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ends: int, out: str, errors: list[str], code: int, changed: int
) -> None:
    """What is there already is none; a real one among them is, and so is a kubectl that says nothing."""
    (programs := tmp_path / "bin").mkdir()
    lines = "".join(f"echo {shlex.quote(line)} >&2\n" for line in errors)
    (programs / "kubectl").write_text(f"#!/bin/sh\necho {shlex.quote(out)}\n{lines}exit {ends}\n")
    (programs / "kubectl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    local = json.dumps({"ansible_connection": "local", "ansible_python_interpreter": sys.executable})
    found, output = play(tmp_path, "storage_adopt", local)
    assert found == code, output
    assert f"changed={changed}" in output
