# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a program does not start, or ends: its exit code, what the runtime said, and what its last lines say."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from .model import Cause, Document, Facts, Rule, apply, full, name, namespace, ref, span, told

REASONS = ("CrashLoopBackOff", "RunContainerError", "PostStartHookError")
# A program that ended so often and so lately is not well, even while it happens to run.
RESTARTS, LATELY = 2, timedelta(minutes=10)

# Of runc, through containerd: exit code 128, reason StartError.
START = [
    Rule(
        "CommandNotFound",
        r"exec: \"?(?P<program>[^\":]+)\"?: (?:executable file not found in \$PATH|stat .*no such file or directory)|"
        r"exec: \"?(?P<other>[^\":]+)\"?: no such file or directory",
        "{pod}",
        "container {container} cannot start: its image has no program {program}{other}",
        "correct command (it replaces ENTRYPOINT, args replaces CMD), or use an image that has it",
    ),
    Rule(
        "WrongPlatform",
        r"exec format error",
        "image/{image}",
        "container {container} cannot start: its program was made for another processor (or is a script without #!)",
        "build the image for the node's platform: kubectl get node -L kubernetes.io/arch",
    ),
    Rule(
        "NotExecutable",
        r"exec: \"?(?P<program>[^\":]+)\"?: permission denied",
        "{pod}",
        "container {container} cannot start: {program} is not executable for its user",
        "chmod +x in the image, or correct command or runAsUser",
    ),
    Rule(
        "MountWrong",
        r"error mounting \"(?P<source>[^\"]+)\" to rootfs at \"(?P<target>[^\"]+)\"|not a directory.*mount|are you "
        r"trying to mount",
        "{pod}",
        "container {container} cannot start: a volume cannot be mounted at {target}",
        "a file can be mounted over a file and a folder over a folder alone: correct mountPath or subPath",
    ),
    Rule(
        "ReadOnlyFileSystem",
        r"read-only file system",
        "{pod}",
        "container {container} cannot start: it needs to write, and its file system is read-only",
        "mount an emptyDir where it writes, or set readOnlyRootFilesystem: false",
    ),
    Rule(
        "WorkingDirectory",
        r"chdir to cwd \(\"(?P<path>[^\"]+)\"\)|container init: mkdir (?P<other>\S+): not a directory",
        "{pod}",
        "container {container} cannot start: it cannot enter its working directory {path}{other}",
        "correct workingDir, or the folder's permissions in the image",
    ),
    Rule(
        "MemoryLimitTooSmall",
        r"container init was OOM-killed|memory limit (?:.*)too low",
        "{pod}",
        "container {container} cannot start: its memory limit is too small even to start a program",
        "raise resources.limits.memory; it is in bytes without a unit (64Mi, not 64m)",
    ),
    Rule(
        "NotStarted",
        "",
        "{pod}",
        "container {container} cannot start: {text}",
        "the text is the container runtime's own",
    ),
]
# Of the program's own last lines, newest first; they say more than exit code 1.
LINES = [
    # The runtime's own: it is in the container by then.
    Rule(
        "WrongPlatform",
        r"^exec \S+: exec format error",
        "image/{image}",
        "its program was made for another processor (or is a script without #!)",
        START[1].todo,
    ),
    Rule(
        "ReadOnlyFileSystem",
        r"(?i)read-only file ?system",
        "{pod}",
        "it needs to write, and its file system is read-only",
        START[4].todo,
    ),
    Rule(
        "DiskFull",
        r"(?i)no space left on device",
        "{pod}",
        "its disk is full",
        "see df in the container; enlarge or empty the volume",
    ),
    Rule(
        "PortTaken",
        r"(?i)address already in use",
        "{pod}",
        "its port is taken",
        "two containers of a pod share its ports; with hostNetwork all of the node do",
    ),
    Rule(
        "NameUnknown",
        r"(?i)no such host|could not resolve host|temporary failure in name resolution|name or service not known|"
        r"getaddrinfo|NXDOMAIN",
        "{pod}",
        "it looks for a host whose name has no address",
        "the name of a Service is NAME, in another namespace NAME.NAMESPACE; kubectl why service/NAME, and kubectl "
        "why -n kube-system deployment/coredns",
    ),
    Rule(
        "DependencyDown",
        r"(?i)connection refused|ECONNREFUSED|(?:failed to|couldn't|could not) connect",
        "{pod}",
        "what it connects to does not answer",
        "kubectl why service/NAME for the service that its log names",
    ),
    Rule(
        "NoPermission",
        r"(?i)permission denied|operation not permitted|EACCES|EPERM",
        "{pod}",
        "it lacks a permission",
        "compare runAsUser, fsGroup and capabilities with what the image needs",
    ),
    Rule(
        "CommandNotFound",
        r"(?i): (?:command )?not found$",
        "{pod}",
        "it calls a program that its image does not have",
        START[0].todo,
    ),
]
# As programs end that are asked to: in order, in Go as process 1, by SIGKILL, by SIGTERM.
ASKED = (0, 2, 137, 143)
SIGNALS = {129: "SIGHUP", 130: "SIGINT", 132: "SIGILL", 134: "SIGABRT", 135: "SIGBUS", 136: "SIGFPE", 139: "SIGSEGV"}


def judge(facts: Facts, pod: Document, container: Document, status: Document) -> Iterator[Cause]:
    """For a container whose program does not start or has ended."""
    waiting = status.get("state", {}).get("waiting") or {}
    ended = ended_of(status)
    who = container["name"]
    known = {"pod": full(pod), "container": who, "image": container["image"]}
    hook = _hook(facts, pod, who)
    if waiting.get("reason") == "PostStartHookError" or (hook and ended and ended.get("exitCode") in ASKED):
        verdict = f"container {who} is killed after its start: its postStart hook fails"
        todo = f"kubectl logs -p {name(pod)} -n {namespace(pod)} -c {who}; try the hook's command by hand"
        lines = tuple(hook or [str(waiting.get("message") or "")])
        yield Cause("PostStartHook", full(pod), verdict, todo, lines, container=who)
        return
    message = str(waiting.get("message") or "") if waiting.get("reason") == "RunContainerError" else ""
    if not message and ended and ended.get("reason") in ("StartError", "ContainerCannotRun"):
        message = str(ended.get("message") or "")
    if message:
        found = apply(START, message, **known)
        if found:
            yield found.seen(f"the runtime: {message}", *_restarts(status))
    elif ended:
        yield _ended(facts, pod, container, status, ended)


def _hook(facts: Facts, pod: Document, who: str) -> list[str]:
    """What was said last of a container's postStart hook; while it is not tried again, nothing else tells."""
    said = facts.about(pod, "FailedPostStartHook")
    return [
        told(facts, it) for it in said if it["involvedObject"].get("fieldPath") in (f"spec.containers{{{who}}}", None)
    ][:1]


def ended_of(status: Document) -> dict[str, Any] | None:
    """How the program ended last, None while its first one runs."""
    for part in ("state", "lastState"):
        found = (status.get(part) or {}).get("terminated")
        if found:
            return dict(found)
    return None


def unsteady(facts: Facts, status: Document) -> bool:
    """Whether a program that runs now has ended too often of late."""
    ended = ended_of(status)
    return (
        bool(ended)
        and status.get("restartCount", 0) >= RESTARTS
        and facts.age((ended or {}).get("finishedAt")) < LATELY
    )


def _ended(facts: Facts, pod: Document, container: Document, status: Document, ended: dict[str, Any]) -> Cause:
    who, code = container["name"], int(ended.get("exitCode", 0))
    lines = facts.logs.get((namespace(pod), name(pod), who), [])
    how = f"{code} ({ended.get('reason', '')})"
    evidence = [f"container {who} ended with exit code {how} {span(facts.age(ended.get('finishedAt')))} ago"]
    evidence += [str(ended["message"])] if ended.get("message") else []
    evidence += [f"log: {line}" for line in lines[-5:]]
    about = full(pod)
    name_of, verdict, todo = _by_code(pod, container, ended, code)
    if name_of == "ExitCode":
        known = {"pod": full(pod), "image": container["image"]}
        found = next((said for line in reversed(lines) if (said := apply(LINES, line, **known))), None)
        if found:
            name_of, todo, about = found.code, found.todo, found.object
            verdict = f"container {who} ends with exit code {code}: by its last lines {found.verdict}"
    return Cause(name_of, about, verdict, todo, (*evidence, *_restarts(status)), container=who)


def _by_code(pod: Document, container: Document, ended: dict[str, Any], code: int) -> tuple[str, str, str]:
    who = container["name"]
    logs = f"kubectl logs -p {name(pod)} -n {namespace(pod)} -c {who} has what it said"
    if ended.get("reason") == "OOMKilled":
        limit = ((container.get("resources") or {}).get("limits") or {}).get("memory")
        verdict = f"container {who} was killed because it used more memory than its limit of {limit}"
        if not limit:
            verdict = f"container {who} was killed because memory ran out on its node, or in the limit of the whole pod"
        return (
            "OutOfMemory",
            verdict,
            "raise resources.limits.memory, or make the program use less (a JVM needs -XX:MaxRAMPercentage)",
        )
    if code == 0:
        verdict = (
            f"the program of container {who} ends by itself, without an error; {ref(pod)} is to run for ever, "
            "so it is started again"
        )
        return (
            "EndsByItself",
            verdict,
            "keep it in the foreground (no daemon mode, no &); work that ends belongs into a Job",
        )
    if code == 127:
        return "CommandNotFound", f"container {who} ends with 127: its shell does not find a command", logs
    if code == 126:
        return "NotExecutable", f"container {who} ends with 126: a command of it is not executable", logs
    if code in (137, 143):
        verdict = (
            f"container {who} was stopped from outside (exit code {code}, {'SIGKILL' if code == 137 else 'SIGTERM'})"
        )
        return (
            "Killed",
            verdict,
            "kubectl get events says who did (a liveness probe, an eviction, a node that shut down)",
        )
    if code in SIGNALS:
        return "Crashed", f"the program of container {who} crashed ({SIGNALS[code]})", logs
    return "ExitCode", f"the program of container {who} ends with an error, exit code {code}", logs


def _restarts(status: Document) -> list[str]:
    count = status.get("restartCount", 0)
    return [f"restarted {count} times"] if count > 1 else ["restarted once"] if count else []
