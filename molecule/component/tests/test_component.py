"""What the component mechanism promises, against a real host over ssh."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

SCENARIO = Path(__file__).resolve().parents[1]
ROOT = SCENARIO.parents[1]
PASSWORD = "hunter2-correct-horse"


def playbook(*arguments: str, **variables: Any) -> subprocess.CompletedProcess[str]:
    """Run apply.yml as a user would."""
    command = [
        "ansible-playbook",
        "-i",
        str(SCENARIO / "inventory"),
        str(SCENARIO / "apply.yml"),
        *arguments,
        "-e",
        json.dumps(variables),
    ]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def apply(*arguments: str, **variables: Any) -> dict[str, Any]:
    """Run apply.yml and return the task's result."""
    os.environ["ANSIBLE_STDOUT_CALLBACK"] = "ansible.posix.json"
    try:
        done = playbook(*arguments, **variables)
    finally:
        del os.environ["ANSIBLE_STDOUT_CALLBACK"]
    document = json.loads(done.stdout[done.stdout.index("{") :])
    result: dict[str, Any] = document["plays"][0]["tasks"][0]["hosts"]["t1"]
    return result


def on_host(command: str) -> str:
    """Run a command on the host, past the mechanism."""
    return subprocess.run(
        ["docker", "exec", "t1", "sh", "-c", command], capture_output=True, text=True, check=True
    ).stdout


def answer() -> str:
    """What the service answers."""
    return on_host("curl --silent http://127.0.0.1:8099/")


def started() -> str:
    """When the service was started last."""
    return on_host("systemctl show --property ActiveEnterTimestampMonotonic toy")


@pytest.fixture(autouse=True)
def as_converged() -> None:
    """Each test starts from the healthy toy."""
    assert not apply().get("failed")
    assert answer() == "hello"


def test_no_change() -> None:
    """A second run finds nothing to do."""
    before = started()
    result = apply("--diff")
    assert not result["changed"]
    assert result["components"]["toy"]["actions"] == []
    assert started() == before


def test_config_change_shows_its_diff_and_restarts() -> None:
    """One changed variable is one changed file."""
    before = started()
    result = apply("--diff", toy_greeting="good morning")
    assert result["changed"]
    assert [entry["after_header"] for entry in result["diff"]] == ["/etc/toy/toy.ini"]
    assert "greeting = hello" in result["diff"][0]["before"]
    assert "greeting = good morning" in result["diff"][0]["after"]
    assert answer() == "good morning"
    assert started() != before


def test_check_mode_says_what_would_change_and_changes_nothing() -> None:
    """It says what a run would do, and the host stays as it is."""
    before = started()
    result = apply("--check", "--diff", toy_greeting="good morning")
    assert result["components"]["toy"]["actions"] == [
        "change /etc/toy/toy.ini",
        "restart toy.service (/etc/toy/toy.ini)",
    ]
    assert answer() == "hello"
    assert "hello" in on_host("cat /etc/toy/toy.ini")
    assert started() == before


def test_sick_config_is_rolled_back_and_the_journal_is_in_the_error() -> None:
    """The service answers as before."""
    result = apply(toy_healthy=False)
    assert result["failed"]
    assert "toy does not get healthy: http://127.0.0.1:8099/health answered 503" in result["msg"]
    assert "rolled back to what ran before and is healthy again" in result["msg"]
    assert "this configuration makes me sick" in result["msg"]
    assert answer() == "hello"
    assert "healthy = True" in on_host("cat /etc/toy/toy.ini")
    assert not apply()["changed"]


def test_wrong_checksum_is_refused_and_changes_nothing() -> None:
    """Neither a program nor a part of it is left."""
    wrong = "0" * 64
    on_host(f"echo something else >/var/lib/artifact-store/sha256/{wrong}")
    before = started()
    result = apply(toy_sha256=wrong, toy_greeting="never")
    assert result["failed"]
    assert f"wrong checksum: expected sha256 {wrong}" in result["msg"]
    assert answer() == "hello"
    assert started() == before
    assert on_host("ls -A /usr/local/bin").split() == ["toy"]


def test_secret_shows_in_no_output() -> None:
    """Neither old nor new, however much is printed."""
    done = playbook("-vvv", "--diff", toy_greeting="good morning", toy_password=f"new-{PASSWORD}")
    # The one place is the command line of the test itself, which -vvv does not print.
    assert done.returncode == 0
    assert PASSWORD not in done.stdout + done.stderr
    assert "(secret: new content)" in done.stdout
    assert on_host("cat /etc/toy/password").strip() == f"new-{PASSWORD}"
    assert on_host("stat --format '%a %U' /etc/toy/password").strip() == "600 toy"


@pytest.mark.parametrize(
    ("damage", "actions"),
    [
        ("systemctl stop toy", ["start toy.service (not running)"]),
        (
            "sed -i s/hello/hellO/ /etc/toy/toy.ini",
            ["change /etc/toy/toy.ini", "restart toy.service (/etc/toy/toy.ini)"],
        ),
        (
            "sed -i s/FLAG=one/FLAG=two/ /etc/systemd/system/toy.service",
            ["change /etc/systemd/system/toy.service", "restart toy.service (/etc/systemd/system/toy.service)"],
        ),
        ("chmod 0666 /etc/toy/toy.ini", ["set mode and owner of /etc/toy/toy.ini"]),
        (
            "echo '# more' >>/usr/local/bin/toy",
            ["change /usr/local/bin/toy", "restart toy.service (/usr/local/bin/toy)"],
        ),
        ("systemctl disable --quiet toy", ["enable toy.service"]),
    ],
)
def test_drift_is_repaired_as_one_change(damage: str, actions: list[str]) -> None:
    """Whatever somebody changed by hand is put right, and nothing else."""
    on_host(damage)
    result = apply()
    assert result["components"]["toy"]["actions"] == actions
    assert answer() == "hello"
    assert not apply()["changed"]


def test_interrupted_run_is_finished_by_the_next() -> None:
    """The service runs with what the file says."""
    # What a run leaves that is killed after it wrote and before it restarted.
    on_host("sed -i s/hello/hellO/ /etc/toy/toy.ini; systemctl restart toy")
    # The program reads its file once, a moment after systemd has started it.
    on_host("timeout 20 sh -c 'until curl --silent http://127.0.0.1:8099/ | grep -q hellO; do sleep 0.1; done'")
    on_host("sed -i s/hellO/hello/ /etc/toy/toy.ini")
    on_host("echo '{}' >/var/lib/selfhosted-kubernetes/components/toy.pending")
    assert answer() == "hellO"
    result = apply()
    assert result["components"]["toy"]["actions"] == ["restart toy.service (an earlier run was interrupted)"]
    assert answer() == "hello"
