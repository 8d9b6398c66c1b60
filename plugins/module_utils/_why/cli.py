# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""`kubectl why`: the engine for people. Ends with 0 when all is well, 1 when not, 2 when there is no answer."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys

from . import answer, status, target, text
from .client import Client, WhyError, kubeconfig

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


def main(arguments: list[str] | None = None) -> int:
    """The exit code."""
    given = parser().parse_args(arguments)
    try:
        with Client(kubeconfig(given.kubeconfig, given.context)) as client:
            if given.target:
                space = given.namespace or client.namespace
                said = answer.why(client, target.parse(given.target, space, bool(given.namespace)))
            else:
                said = status.status(client, given.namespace or "")
    except WhyError as error:
        if given.output == "json":
            print(json.dumps({"state": "unknown", "verdict": str(error)}))  # noqa: T201
        else:
            print(f"kubectl why: {error}", file=sys.stderr)  # noqa: T201
        return 2
    shown = text.lines(said) if given.target else text.groups(said)
    broken = said["state"] in ("broken", "unclear") if given.target else bool(said["causes"])
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    print(json.dumps(said, indent=2) if given.output == "json" else text.painted(shown, colour))  # noqa: T201
    return int(broken)


def run() -> None:
    """What the installed program does."""
    # `kubectl why … | head` ends it as it ends any program.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main())


if __name__ == "__main__":
    run()
