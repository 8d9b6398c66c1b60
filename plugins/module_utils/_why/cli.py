# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`kubectl why`: the engine for people. Ends with 0 when all is well, 1 when not, 2 when there is no answer."""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from . import answer, on_node, status, target, text
from .client import Client, UnreachableError, WhyError, kubeconfig

HINT = "ansible-playbook -i inventory selfhosted.kubernetes.{}"

EPILOG = """
examples:
  kubectl why shop/web-6d4b75cb6d-x2x7p    why a pod does not start, where it runs, where its log is
  kubectl why deployment/web -n shop       also statefulset, daemonset, job, cronjob, service, pvc, node
  kubectl why                              everything that is not well, by what is to blame for it
"""


def parser() -> argparse.ArgumentParser:
    """Options as kubectl has them."""
    made = argparse.ArgumentParser(
        prog="kubectl why",
        description="Why does it not run, where is it, where are its logs?",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "target", nargs="?", help="NAMESPACE/POD, KIND/NAME, NAMESPACE/KIND/NAME or NAME; nothing for everything"
    )
    made.add_argument("-n", "--namespace", help="namespace (default: that of the kubeconfig's context)")
    made.add_argument("-o", "--output", choices=("text", "json"), default="text", help="json is for programs")
    made.add_argument("--kubeconfig", help="file (default: KUBECONFIG, ~/.kube/config)")
    made.add_argument("--context", help="context of the kubeconfig")
    return made


def main(arguments: list[str] | None = None, site: dict[str, Any] | None = None) -> int:
    """The exit code. `site` is how to ask a cluster's hosts: its server, a command, and Ansible's configuration."""
    given = parser().parse_args(arguments)
    server, wanted = "", None
    try:
        with Client(kubeconfig(given.kubeconfig, given.context)) as client:
            server, space = client.server, given.namespace or client.namespace
            if given.target:
                wanted = target.parse(given.target, space, bool(given.namespace))
                said = answer.why(client, wanted)
            else:
                said = status.status(client, given.namespace or "")
    except UnreachableError as error:
        return _without_api(given.output, error, wanted, site if site and site["server"] == server else None)
    except WhyError as error:
        return _refused(given.output, str(error))
    shown = text.lines(said) if given.target else text.groups(said)
    broken = said["state"] in ("broken", "unclear") if given.target else bool(said["causes"])
    print(json.dumps(said, indent=2) if given.output == "json" else text.painted(shown, _colour()))  # noqa: T201
    return int(broken)


def _refused(output: str, verdict: str) -> int:
    if output == "json":
        print(json.dumps({"state": "unknown", "verdict": verdict}))  # noqa: T201
    else:
        print(f"kubectl why: {verdict}", file=sys.stderr)  # noqa: T201
    return 2


def _colour() -> bool:
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ


def _without_api(
    output: str, error: UnreachableError, wanted: target.Target | None, site: dict[str, Any] | None
) -> int:
    """What the cluster's hosts have of it, by ssh, or this host alone."""
    if site and wanted:
        print(f"kubectl why: {error}; asking the cluster's hosts by ssh", file=sys.stderr)  # noqa: T201
        said = _hosts(site, wanted)
        if said:
            print(json.dumps(said, indent=2) if output == "json" else "\n".join(said["lines"]))  # noqa: T201
            return 2
    found = on_node.pods(Path("/"), wanted.namespace, wanted.name) if wanted else []
    _refused(output, f"{error}; on the control node: {HINT.format('why -e pod=…' if wanted else 'check')}")
    if found and output == "text":
        print("\n".join(on_node.shown(socket.gethostname(), found)))  # noqa: T201
    return 2


def _hosts(site: dict[str, Any], wanted: target.Target) -> dict[str, Any]:
    """The playbook's answer; empty where it gave none, and then it has said why."""
    with tempfile.TemporaryDirectory(prefix="kubectl-why-") as folder:
        path = Path(folder) / "answer.json"
        command = [*site["command"], "-e", json.dumps({"pod": wanted.path, "why_answer": str(path)})]
        own = {"ANSIBLE_CONFIG": site["config"]} if site.get("config") else {}
        try:
            # With its own words only where there is no answer.
            done = subprocess.run(
                command, env={**os.environ, **own}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
            )
        except OSError as problem:
            print(f"kubectl why: {command[0]} cannot be run: {problem}", file=sys.stderr)  # noqa: T201
            return {}
        if path.is_file():
            return dict(json.loads(path.read_text(encoding="utf-8")))
        sys.stderr.write(done.stdout.decode(errors="replace"))
        return {}


def run(site: dict[str, Any] | None = None) -> None:
    """What the installed program does."""
    try:
        code = main(site=site)
        sys.stdout.flush()
    except BrokenPipeError:
        # `kubectl why … | head`: nobody reads on. (The signal would end it for a connection that a server closes, too.)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    sys.exit(code)


if __name__ == "__main__":
    run()
