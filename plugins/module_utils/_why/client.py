# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asking an API server: few questions, several at a time, and errors that a person can act on.

The standard library alone: this runs on hosts, and as a kubectl plugin wherever there is a Python.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from .model import Document

Self = TypeVar("Self", bound="Client")
SECONDS = 5.0
AT_ONCE = 6
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"


class WhyError(Exception):
    """No answer is possible; the text is one line for a person."""


class NotFoundError(WhyError):
    """There is no such object."""


class ForbiddenError(WhyError):
    """Who asks may not."""


class UnreachableError(WhyError):
    """The API server does not answer, or not as one."""


class BudgetError(WhyError):
    """All questions have been asked that may be."""


def kubeconfig(path: str | None = None, context: str | None = None, kubectl: str = "kubectl") -> Document:
    """The kubeconfig that kubectl would use, of its current context alone, with all certificates in it."""
    command = [kubectl, "config", "view", "--raw", "--flatten", "--minify", "--output=json"]
    command += [f"--kubeconfig={path}"] if path else []
    command += [f"--context={context}"] if context else []
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnreachableError(f"{kubectl} cannot be run to read the kubeconfig: {error}") from error
    if done.returncode != 0:
        raise UnreachableError(f"no kubeconfig: {' '.join(done.stderr.split())}; set KUBECONFIG, or --kubeconfig")
    return dict(json.loads(done.stdout))


class Client:
    """One API server, of which at most `budget` questions are asked."""

    def __init__(self, config: Document, budget: int = 15) -> None:
        self.asked = 0
        self.budget = budget
        self._lock = threading.Lock()
        self._own = threading.local()
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._connections: list[http.client.HTTPConnection] = []
        cluster = _first(config, "cluster")
        user = _first(config, "user")
        context = _first(config, "context")
        self.namespace = str(context.get("namespace") or "default")
        url = urlsplit(str(cluster.get("server") or ""))
        if url.scheme not in ("https", "http") or not url.hostname:
            raise UnreachableError("the kubeconfig names no server: set KUBECONFIG, or --kubeconfig")
        self.server = f"{url.scheme}://{url.netloc}"
        self._host, self._port, self._prefix = url.hostname, url.port, url.path.rstrip("/")
        self._name = str(cluster.get("tls-server-name") or url.hostname)
        user = {**user, **_exec(user)}
        self._tls = _tls(cluster, user) if url.scheme == "https" else None
        self._headers = _headers(user)

    def get(self, path: str, accept: str = "application/json") -> Any:
        """A document, or a text where the answer is none."""
        with self._lock:
            if self.asked >= self.budget:
                raise BudgetError(f"not asked, since {self.budget} questions were enough: {path}")
            self.asked += 1
        try:
            status, body, kind = self._request(path, accept)
        except (OSError, http.client.HTTPException) as error:
            raise UnreachableError(f"the API server {self.server} does not answer: {_why(error)}") from error
        if status == 200:
            return json.loads(body) if "json" in kind else body
        raise _error(status, body, self.server)

    def together(self, questions: Iterable[Callable[[], Any]]) -> None:
        """Run all at the same time; the first error that they let through is raised when all have ended."""
        asked = [self._pool.submit(it) for it in questions]
        wait(asked)
        for done in asked:
            done.result()

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._pool.shutdown()
        for connection in self._connections:
            connection.close()

    def _request(self, path: str, accept: str) -> tuple[int, str, str]:
        for attempt in (1, 2):
            connection = getattr(self._own, "connection", None) or self._connect()
            try:
                connection.request("GET", self._prefix + path, headers={**self._headers, "Accept": accept})
                answer = connection.getresponse()
                text = answer.read().decode(errors="replace")
            except (OSError, http.client.HTTPException):
                connection.close()
                self._own.connection = None
                # A server may close a connection that it kept open so far.
                if attempt == 2:
                    raise
            else:
                return answer.status, text, answer.headers.get("Content-Type", "")
        raise AssertionError

    def _connect(self) -> http.client.HTTPConnection:
        if self._tls is None:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=SECONDS)
        else:
            connection = _Connection(self._host, self._port, self._name, self._tls)
        self._own.connection = connection
        with self._lock:
            self._connections.append(connection)
        return connection


class _Connection(http.client.HTTPSConnection):
    """Whose certificate may have another name than the address (tls-server-name)."""

    def __init__(self, host: str, port: int | None, name: str, context: ssl.SSLContext) -> None:
        super().__init__(host, port, timeout=SECONDS, context=context)
        self._server_name, self._tls = name, context

    def connect(self) -> None:
        """As the base class does, with our name."""
        http.client.HTTPConnection.connect(self)
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._server_name)


def _first(config: Document, kind: str) -> Document:
    """`--minify` has left one of each."""
    found = (config.get(f"{kind}s") or [{}])[0].get(kind)
    return dict(found or {})


def _exec(user: Document) -> Document:
    """What a credential plugin says (client.authentication.k8s.io)."""
    plugin = user.get("exec")
    if not plugin:
        return {}
    info = {"apiVersion": plugin["apiVersion"], "kind": "ExecCredential", "spec": {"interactive": False}}
    own = {it["name"]: it["value"] for it in plugin.get("env") or []}
    environment = {**os.environ, **own, "KUBERNETES_EXEC_INFO": json.dumps(info)}
    command = [plugin["command"], *(plugin.get("args") or [])]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
        said = json.loads(done.stdout)["status"]
    except (OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
        raise UnreachableError(
            f"the kubeconfig's login program {plugin['command']} gave no credentials: {error}"
        ) from error
    pem = {"clientCertificateData": "client-certificate-data", "clientKeyData": "client-key-data"}
    return {
        **({"token": said["token"]} if said.get("token") else {}),
        **{key: base64.b64encode(said[name].encode()).decode() for name, key in pem.items() if said.get(name)},
    }


def _headers(user: Document) -> dict[str, str]:
    token = user.get("token")
    if not token and user.get("tokenFile"):
        token = Path(user["tokenFile"]).read_text(encoding="utf-8").strip()
    if token:
        return {"Authorization": f"Bearer {token}"}
    if user.get("username"):
        pair = base64.b64encode(f"{user['username']}:{user.get('password', '')}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}
    return {}


def _tls(cluster: Document, user: Document) -> ssl.SSLContext:
    data = cluster.get("certificate-authority-data")
    context = ssl.create_default_context(cadata=base64.b64decode(data).decode() if data else None)
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if user.get("client-certificate-data"):
        # ssl reads keys from files alone; this one is for our user only, and gone at once.
        with tempfile.NamedTemporaryFile(prefix="why-") as file:
            for part in ("client-certificate-data", "client-key-data"):
                file.write(base64.b64decode(user.get(part) or "") + b"\n")
            file.flush()
            try:
                context.load_cert_chain(file.name)
            except ssl.SSLError as error:
                raise UnreachableError(f"the kubeconfig's client certificate cannot be used: {error}") from error
    return context


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return f"no answer within {SECONDS:.0f} s"
    return str(error) or type(error).__name__


def _error(status: int, body: str, server: str) -> WhyError:
    try:
        said = json.loads(body)
        message = str(said.get("message") or body) if isinstance(said, dict) else body
    except ValueError:
        message = body
    message = " ".join(message.split())[:500]
    if status == 401:
        return ForbiddenError(f"{server} does not know you (401): the kubeconfig's credentials are wrong or have ended")
    if status == 403:
        found = re.search(
            r'User "([^"]+)" cannot (\w+) resource "([^"]+)" in API group "([^"]*)"(?: in the namespace "([^"]+)")?',
            message,
        )
        if found:
            user, verb, resource, group, space = found.groups()
            where = f"in namespace {space}" if space else "in the whole cluster"
            right = f"{resource}.{group}" if group else resource
            return ForbiddenError(
                f"{user} may not {verb} {right} {where}: ask for a Role with the verb {verb} on {right}"
            )
        return ForbiddenError(message)
    if status == 404:
        return NotFoundError(message)
    return UnreachableError(f"the API server {server} answered {status}: {message}")
