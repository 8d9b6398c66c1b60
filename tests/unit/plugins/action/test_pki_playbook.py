# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role in a real ansible-playbook: options, check and diff mode, and that no secret is shown."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.selfhosted.kubernetes.plugins.action.pki import SPEC
from ansible_collections.selfhosted.kubernetes.plugins.modules.pki import DOCUMENTATION

CHECKOUT = Path(__file__).resolve().parents[4]
PASSPHRASE = "correct-horse-battery"
PLAY = [
    {
        "hosts": "all",
        "gather_facts": False,
        "tasks": [{"ansible.builtin.import_role": {"name": "selfhosted.kubernetes.pki"}}],
    }
]


def wish() -> dict[str, Any]:
    """Variables of the role for a small cluster."""
    return {
        "pki_ca_passphrase": PASSPHRASE,
        "pki_wanted": {
            "cas": [{"name": "etcd", "cn": "etcd-ca"}],
            "certificates": [{"name": "m1/etcd", "ca": "etcd", "cn": "m1", "usages": ["server"], "dns": ["m1"]}],
            "keys": [{"name": "sa", "type": "pair"}, {"name": "encryption-key", "type": "random"}],
        },
    }


def play(folder: Path, variables: dict[str, Any], *options: str, fails: bool = False) -> tuple[str, dict[str, Any]]:
    """Output, and the task's result, of a run for two hosts that nobody reaches."""
    link = folder / "ansible_collections" / "selfhosted" / "kubernetes"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.exists():
        link.symlink_to(CHECKOUT)
    (folder / "play.yml").write_text(yaml.safe_dump(PLAY), encoding="utf-8")
    (folder / "vars.yml").write_text(
        yaml.safe_dump({"ansible_port": 1, "pki_dir": str(folder / "pki"), **variables}), encoding="utf-8"
    )
    (folder / "ansible.cfg").write_text("[defaults]\n", encoding="utf-8")
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "192.0.2.1,192.0.2.2", "play.yml"]
    environment = {
        **os.environ,
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(folder),
        "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
        "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_NOCOLOR": "1",
    }
    done = subprocess.run(
        [*command, "-e", "@vars.yml", "-v", *options],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    output = done.stdout + done.stderr
    assert (done.returncode != 0) == fails, output
    # One line, or pretty-printed when there is more verbosity.
    decoder = json.JSONDecoder()
    results = [decoder.raw_decode(text)[0] for text in output.split(" => ")[1:] if text.startswith("{")]
    return output, next((result for result in results if "issued" in result), {})


def secrets(folder: Path) -> list[str]:
    """Everything that must not be shown."""
    keys = [*folder.rglob("*.key"), folder / "keys" / "encryption-key"]
    lines = {line for path in keys for line in path.read_text(encoding="ascii").splitlines() if "-----" not in line}
    return [PASSPHRASE, *lines]


def test_from_nothing_to_no_change(tmp_path: Path) -> None:
    """One task for all hosts; check mode predicts it; the second run changes nothing; no secret at the loudest."""
    _, predicted = play(tmp_path, wish(), "--check")
    assert not (tmp_path / "pki").exists()
    output, result = play(tmp_path, wish(), "--diff", "-vvvv")
    assert result["changed"]
    assert [item["name"] for item in result["issued"]] == [item["name"] for item in predicted["issued"]]
    assert [item["name"] for item in result["issued"]] == [
        *("ca/etcd", "certs/m1/etcd", "keys/sa.key", "keys/encryption-key")
    ]
    assert result["expires_first"] == {"name": "certs/m1/etcd", "days": 359}
    assert "+name: DNS:m1" in output
    shown = [secret for secret in secrets(tmp_path / "pki") if secret in output]
    assert not shown
    _, again = play(tmp_path, wish(), "--diff")
    assert (again["changed"], again["issued"], again["repaired"]) == (False, [], [])


def test_diff_shows_names_and_dates_of_old_and_new(tmp_path: Path) -> None:
    """And the reason."""
    play(tmp_path, wish())
    variables = wish()
    variables["pki_wanted"]["certificates"][0]["dns"] = ["m2"]
    variables["pki_certificate_days"] = 30
    output, result = play(tmp_path, variables, "--check", "--diff")
    assert result["issued"][0]["reason"] == "its names differ: +DNS:m2, -DNS:m1"
    for line in ("+++ after: certs/m1/etcd (its names differ: +DNS:m2, -DNS:m1)", "-name: DNS:m1", "+name: DNS:m2"):
        assert f"\n{line}\n" in output
    assert len([line for line in output.splitlines() if line[1:].startswith("valid until: ")]) == 2


def test_one_phase_of_a_rotation(tmp_path: Path) -> None:
    """What it did is shown, keys are not; the same phase again does nothing."""
    play(tmp_path, wish())
    variables = {**wish(), "pki_rotate": {"what": "ca/etcd", "phase": "trust"}}
    output, result = play(tmp_path, variables, "--diff", "-vvvv")
    assert result["rotated"] == [{"name": "ca/etcd", "step": "its successor is trusted besides it"}]
    assert "+++ after: ca/etcd (it will replace the one in use)" in output
    assert not [secret for secret in secrets(tmp_path / "pki") if secret in output]
    _, again = play(tmp_path, variables)
    assert (again["changed"], again["rotated"]) == (False, [])


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"pki_certificate_days": 400}, "pki_certificate_days is 400: set it to 1 to 365"),
        (
            {"pki_rotate": {"what": "ca/etcd", "phase": "swap"}},
            "value of phase must be one of: trust, issue, drop, end",
        ),
        ({"pki_rotate": {"what": "ca/etdc", "phase": "trust"}}, "there is no `ca/etdc` to rotate, only certs, ca/etcd"),
        ({"pki_user_cas": {"etdc": {}}}, "pki_user_cas: no CA is called etdc; there are etcd"),
        ({"pki_user_cas": {"etcd": {"certificate": "/a"}}}, "pki_user_cas.etcd: give the two paths"),
    ],
)
def test_errors_name_the_variable(tmp_path: Path, change: dict[str, Any], error: str) -> None:
    """And leave nothing behind."""
    output, _ = play(tmp_path, {**wish(), **change}, fails=True)
    assert error in output
    assert "Traceback" not in output
    assert not (tmp_path / "pki").exists()


def described(options: Mapping[str, Any], nested: str) -> dict[str, Any]:
    """Options without descriptions, with what is nested in one form."""
    result = {}
    for name, option in options.items():
        kept = {key: value for key, value in option.items() if key not in ("description", "no_log", nested)}
        result[name] = {**kept, "nested": described(option.get(nested, {}), nested)}
    return result


def test_documentation_and_argument_spec_agree() -> None:
    """Names, types, defaults, choices, at all depths."""
    assert described(yaml.safe_load(DOCUMENTATION)["options"], "suboptions") == described(SPEC, "options")
