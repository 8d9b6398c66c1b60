# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run specs of the official test suite against a cluster."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.selfhosted.kubernetes.plugins.filter.config import kubeconfig
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._conformance import report

display = Display()
POLL_SECONDS = 20


class ActionModule(ActionBase):
    """See plugins/modules/conformance.py for options and return values."""

    _supports_check_mode = False
    _supports_async = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run them and read the report."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        spec = {
            "programs": {"type": "dict", "required": True},
            "registries": {"type": "dict", "default": {}},
            "server": {"type": "str", "required": True},
            "pki_dir": {"type": "path", "required": True},
            "domain": {"type": "str", "default": "cluster.local"},
            "specs": {"type": "list", "elements": "str", "default": []},
            "focus": {"type": "str", "default": ""},
            "skip": {"type": "str", "default": ""},
            "procs": {"type": "int", "default": 4},
            "timeout_minutes": {"type": "int", "default": 60},
            "report_dir": {"type": "path", "required": True},
        }
        _validation, args = self.validate_argument_spec(argument_spec=spec)
        folder = Path(args["report_dir"])
        folder.mkdir(parents=True, exist_ok=True)
        junit, output = folder / "junit.xml", folder / "output.log"
        full = folder / "junit_01.xml"
        for file in (junit, full):
            file.unlink(missing_ok=True)
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as work:
            code = self._run(args, Path(work), output)
        if not full.exists():
            raise AnsibleActionFail(f"the suite did not get to run (exit {code}); {output} ends with:\n{_tail(output)}")
        specs = report.read(full, junit)
        full.unlink()
        lines = report.summary(specs, time.monotonic() - began)
        for line in lines:
            display.display(f"conformance: {line}")
        (folder / "summary.txt").write_text("\n".join([*lines, ""]), encoding="utf-8")
        result.update(changed=False, summary=lines, junit=str(junit), output=str(output))
        wanted = [] if args["focus"] else args["specs"]
        problems = report.problems(specs, wanted)
        if code != 0 and not problems:
            problems = [f"the suite itself failed (exit {code}): {_tail(output)}"]
        if problems:
            result.update(failed=True, msg="\n".join([lines[-1], *problems, f"more in {output}"]))
        return result

    def _run(self, args: dict[str, Any], work: Path, output: Path) -> int:
        """Run ginkgo, and say now and then how far it is."""
        focus = args["focus"] or report.focus_of(args["specs"])
        # ginkgo takes a test program by the end of its name.
        (work / "e2e.test").symlink_to(args["programs"]["e2e.test"])
        (work / "registries.yaml").write_text(json.dumps(args["registries"]), encoding="utf-8")
        pki = Path(args["pki_dir"])
        config = kubeconfig(
            args["server"],
            cluster="conformance",
            user="kubernetes-admin",
            ca=str(pki / "ca/kubernetes.crt"),
            cert=str(pki / "certs/admin.crt"),
            key=str(pki / "certs/admin.key"),
        )
        (work / "kubeconfig").write_text(config, encoding="utf-8")
        argv = [
            args["programs"]["ginkgo"],
            f"--procs={args['procs']}",
            f"--timeout={args['timeout_minutes']}m",
            f"--focus={focus}",
            *([f"--skip={args['skip']}"] if args["skip"] else []),
            "--no-color",
            "--silence-skips",
            str(work / "e2e.test"),
            "--",
            f"--kubeconfig={work / 'kubeconfig'}",
            f"--kubectl-path={self._kubectl(args)}",
            "--provider=local",
            f"--report-dir={output.parent}",
            f"--dns-domain={args['domain']}",
        ]
        environment = {
            **os.environ,
            # The cluster is near: no proxy is on the way to it.
            **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), ""),
            "KUBE_TEST_REPO_LIST": str(work / "registries.yaml"),
        }
        began = time.monotonic()
        with open(output, "w", encoding="utf-8") as stream:
            process = subprocess.Popen(argv, cwd=work, env=environment, stdout=stream, stderr=subprocess.STDOUT)
            try:
                while True:
                    try:
                        return process.wait(POLL_SECONDS)
                    except subprocess.TimeoutExpired:
                        display.display(f"conformance: {_progress(output)} [{time.monotonic() - began:.0f} s elapsed]")
            finally:
                process.terminate()

    def _kubectl(self, args: dict[str, Any]) -> str:
        """Specs run commands in pods with it."""
        given = args["programs"].get("kubectl", "")
        found = given if Path(given).is_file() else shutil.which("kubectl")
        if not found:
            raise AnsibleActionFail(
                "the suite needs kubectl on the control node, and there is none for its architecture"
            )
        return str(found)


def _progress(output: Path) -> str:
    """How many specs are done, from what ginkgo has said so far."""
    text = output.read_text(encoding="utf-8", errors="replace")
    chosen = re.search(r"Will run (\d+) of", text)
    done, bad = text.count("\N{BULLET}"), text.count("\N{BULLET} [FAILED]")
    return f"{done} of {chosen[1] if chosen else '?'} specs done, {bad} failed"


def _tail(output: Path) -> str:
    """The end of what the suite said."""
    return output.read_text(encoding="utf-8", errors="replace")[-1500:]
