# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The health_facts module between two looks at the control node's clock; nothing that a host does ends the run."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase

CONNECT_SECONDS = 5
# For a host whose disk hangs: all else has shorter limits of its own. A task's own timeout would be an error, and
# nobody would judge where it is every host's.
HOST_SECONDS = 20.0
# A connection of its own: one that was kept from an earlier run to a host that has died since would hang for minutes.
SSH_OPTIONS = "-o ControlPath=none -o ServerAliveInterval=2 -o ServerAliveCountMax=2"


class Late(BaseException):
    """Nothing in time. No Exception, so that nothing between takes it for an error of its own."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """End what is in it with Late."""

    def ring(_signal: int, _frame: object) -> None:
        raise Late

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class ActionModule(ActionBase):
    """See the module of the same name."""

    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the module and put the host's clock between ours; say why where that is not possible."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        # A page for each host is of no use to a reader.
        result.update(changed=False, _ansible_verbose_override=True)
        if self._connection.transport == "ssh":
            own = self._connection.get_option("ssh_extra_args") or ""
            self._connection.set_option("ssh_extra_args", f"{own} {SSH_OPTIONS}".strip())
            wait = min(int(self._connection.get_option("timeout")), CONNECT_SECONDS)
            self._connection.set_option("timeout", wait)
        before = time.time()
        try:
            with within(HOST_SECONDS):
                answer = self._execute_module(task_vars=task_vars)
        except Late:
            return {**result, "silent": f"connected, but said nothing for {HOST_SECONDS:.0f} s"}
        except AnsibleError as error:
            return {**result, "silent": _line(str(self._said_by_ssh(error)))}
        if "clock" not in answer:
            return {**result, "silent": _line(str(answer.get("msg") or answer))}
        answer["clock"].update(before=before, after=time.time() - answer["clock"].pop("elapsed"))
        return {**answer, **result}

    def _said_by_ssh(self, error: AnsibleError) -> AnsibleError:
        """Why it ended; before it was given its input all that Ansible knows is that the pipe is broken."""
        if "Broken pipe" in str(error):
            try:
                self._low_level_execute_command("true", sudoable=False)
            except AnsibleError as reason:
                return reason
        return error


def _line(text: str) -> str:
    """An error in one line, without Ansible's words around ssh's own."""
    return " ".join(text.split()).rpartition(" ssh: ")[2][:500]
