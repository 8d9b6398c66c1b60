# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked, how, and what is said where there is no answer: against a server that answers as an API server."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.selfhosted.kubernetes.plugins.module_utils._why import cli, client, target

Document = dict[str, Any]
FORBIDDEN = (
    'pods "web" is forbidden: User "developer" cannot get resource "pods" in API group "" in the namespace "shop"'
)


class Server(ThreadingHTTPServer):
    """Answers by path; other lists are empty, other objects not found."""

    answers: dict[str, tuple[int, Any]]
    seen: list[tuple[str, str | None]]
    daemon_threads = True


class Handler(BaseHTTPRequestHandler):
    """One connection, as long as the client wants it."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        """As told."""
        path = self.path.partition("?")[0]
        self.server.seen.append((self.path, self.headers["Authorization"]))
        nothing: tuple[int, Any] = (
            (200, {"items": []}) if path.endswith("s") else (404, {"message": f"{path} not found"})
        )
        status, said = self.server.answers.get(path, nothing)
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base class's name)
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    """It knows nothing yet."""
    made = Server(("127.0.0.1", 0), Handler)
    made.answers, made.seen = {}, []
    thread = threading.Thread(target=made.serve_forever, args=(0.05,))
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def config(url: str, **user: Any) -> Document:
    """As `kubectl config view` gives it."""
    return {
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "shop"}}],
    }


def asking(server: Server, budget: int = 15, **user: Any) -> client.Client:
    """A client of the server."""
    return client.Client(config(f"http://127.0.0.1:{server.server_address[1]}", **user), budget)


def test_says_who_asks(server: Server, tmp_path: Path) -> None:
    """By token, token file, name and password, or the words of a login program."""
    server.answers = {"/x": (200, {})}
    (tmp_path / "token").write_text("from-file\n")
    said = json.dumps({"status": {"token": "from-program"}})
    program = {"apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", f"echo '{said}'"]}
    for user, wanted in (
        ({"token": "plain"}, "Bearer plain"),
        ({"tokenFile": str(tmp_path / "token")}, "Bearer from-file"),
        ({"username": "me", "password": "word"}, "Basic " + base64.b64encode(b"me:word").decode()),
        ({"exec": program}, "Bearer from-program"),
    ):
        with asking(server, **user) as made:
            made.get("/x")
        assert server.seen[-1] == ("/x", wanted)


def test_stops_asking(server: Server) -> None:
    """After as many questions as it may ask."""
    server.answers = {"/x": (200, {})}
    with asking(server, budget=2) as made:
        made.together([lambda: made.get("/x")] * 2)
        with pytest.raises(client.BudgetError):
            made.get("/x")
    assert len(server.seen) == made.asked == 2


@pytest.mark.parametrize(
    ("status", "said", "error", "words"),
    [
        (401, {"message": "Unauthorized"}, client.ForbiddenError, "does not know you (401)"),
        (
            *(403, {"message": FORBIDDEN}, client.ForbiddenError),
            "developer may not get pods in namespace shop: ask for a Role with the verb get on pods",
        ),
        (404, {"message": 'pods "web" not found'}, client.NotFoundError, 'pods "web" not found'),
        (500, {"message": "etcdserver: request timed out"}, client.UnreachableError, "answered 500: etcdserver"),
        (503, "no text of ours", client.UnreachableError, "answered 503"),
    ],
)
def test_says_why_there_is_no_answer(
    server: Server, status: int, said: Any, error: type[Exception], words: str
) -> None:
    """In one line, with the right that is missing."""
    server.answers = {"/x": (status, said)}
    with asking(server) as made, pytest.raises(error) as caught:
        made.get("/x")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unreachable() -> None:
    """Nobody listens."""
    with client.Client(config("https://127.0.0.1:1")) as made, pytest.raises(client.UnreachableError) as caught:
        made.get("/x")
    assert str(caught.value) == "the API server https://127.0.0.1:1 does not answer: [Errno 111] Connection refused"


def test_no_kubeconfig(tmp_path: Path) -> None:
    """What kubectl says, or that there is none."""
    kubectl = tmp_path / "kubectl"
    kubectl.write_text("#!/bin/sh\necho 'error: current-context must exist' >&2; exit 1\n")
    kubectl.chmod(0o755)
    with pytest.raises(
        client.UnreachableError, match="no kubeconfig: error: current-context must exist; set KUBECONFIG"
    ):
        client.kubeconfig(kubectl=str(kubectl))
    with pytest.raises(client.UnreachableError, match="cannot be run to read the kubeconfig"):
        client.kubeconfig(kubectl=str(tmp_path / "none"))
    with pytest.raises(client.UnreachableError, match="names no server"):
        client.Client(config("localhost"))


@pytest.mark.parametrize(
    ("text", "given", "wanted"),
    [
        ("shop/web-1", False, ("", "shop", "web-1")),
        ("web-1", False, ("", "here", "web-1")),
        ("deploy/web", False, ("Deployment", "here", "web")),
        ("shop/svc/web", False, ("Service", "shop", "web")),
        ("node/w1", True, ("Node", "here", "w1")),
        ("PVC/data", True, ("PersistentVolumeClaim", "here", "data")),
    ],
)
def test_names(text: str, given: bool, wanted: tuple[str, str, str]) -> None:
    """Kinds as kubectl abbreviates them."""
    assert target.parse(text, "here", given) == target.Target(*wanted)


@pytest.mark.parametrize(
    ("text", "given", "words"),
    [
        ("a/b/c/d", False, "say NAMESPACE/POD"),
        ("shop//web", False, "say NAMESPACE/POD"),
        ("deploymnt/web", True, "did you mean deployment?"),
        ("shop/thing/web", False, "no kind thing is known here"),
    ],
)
def test_bad_names(text: str, given: bool, words: str) -> None:
    """One clear line."""
    with pytest.raises(client.WhyError, match=words.replace("?", r"\?")):
        target.parse(text, "here", given)


@pytest.fixture
def kubectl(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kubeconfig leads to the server."""
    answer = json.dumps(config(f"http://127.0.0.1:{server.server_address[1]}"))
    (tmp_path / "kubectl").write_text(f"#!/bin/sh\necho '{answer}'\n")
    (tmp_path / "kubectl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


def pod(name: str, ready: bool) -> Document:
    """One on node w1."""
    made = f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(time.time() - 300))}"
    state = {"running": {"startedAt": made}} if ready else {"waiting": {"reason": "ErrImageNeverPull", "message": ""}}
    return {
        "metadata": {"name": name, "namespace": "shop", "uid": name, "creationTimestamp": made},
        "spec": {"nodeName": "w1", "containers": [{"name": "web", "image": "web:1"}]},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": str(ready), "lastTransitionTime": made}],
            "containerStatuses": [{"name": "web", "state": state, "ready": ready, "restartCount": 0}],
        },
    }


@pytest.mark.usefixtures("kubectl")
def test_exit_codes(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """0 all is well, 1 it is not, 2 there is no answer; JSON for programs."""
    where = "/api/v1/namespaces/shop/pods"
    server.answers = {f"{where}/well": (200, pod("well", True)), f"{where}/sick": (200, pod("sick", False))}
    ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    server.answers["/api/v1/nodes/w1"] = (200, {"metadata": {"name": "w1"}, "spec": {}, **ready})
    server.answers[where] = (200, {"items": [pod("well", True), pod("sick", False)]})
    assert cli.main(["well"]) == 0
    assert "well: pod/well runs on node w1 and has been ready for 5 min" in capsys.readouterr().out
    assert cli.main(["shop/sick", "-o", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["cause"]["code"] == "ImageNeverPull"
    assert cli.main(["wel"]) == 2
    assert capsys.readouterr().err == "kubectl why: there is no pod/wel in namespace shop; nearest: well\n"
    assert cli.main(["wel", "-o", "json"]) == 2
    assert json.loads(capsys.readouterr().out)["state"] == "unknown"


@pytest.mark.usefixtures("kubectl")
def test_who_may_not_ask_for_more_gets_an_answer_without(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """A developer may read pods, and no nodes."""
    server.answers = {"/api/v1/namespaces/shop/pods/sick": (200, pod("sick", False))}
    refused = 'nodes "w1" is forbidden: User "dev" cannot get resource "nodes" in API group "" at the cluster scope'
    server.answers["/api/v1/nodes/w1"] = (403, {"message": refused})
    assert cli.main(["sick", "-o", "json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["cause"]["code"] == "ImageNeverPull"
    assert said["unknown"] == ["dev may not get nodes in the whole cluster: ask for a Role with the verb get on nodes"]


@pytest.mark.usefixtures("kubectl")
def test_ambiguous(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """A name that two objects have."""
    item = {"metadata": {"name": "web", "namespace": "shop"}, "spec": {}}
    for part in ("apis/apps/v1/namespaces/shop/deployments/web", "api/v1/namespaces/shop/services/web"):
        server.answers[f"/{part}"] = (200, item)
    assert cli.main(["web"]) == 2
    assert capsys.readouterr().err == "kubectl why: web can be deployment/web, service/web: say which\n"


@pytest.mark.usefixtures("kubectl")
def test_hosts_are_asked_where_no_api_server_answers(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the command that the control node's copy knows, of this cluster alone; what it says where it has no answer."""
    server.answers = {"/api/v1/namespaces/shop/pods/web": (500, {"message": "etcdserver: request timed out"})}
    program = tmp_path / "playbook"
    program.write_text(
        f"#!{sys.executable}\nimport json, os, pathlib, sys\nasked = json.loads(sys.argv[-1])\n"
        "if asked['pod'] == 'shop/web':\n"
        "    said = {'state': 'unreachable', 'lines': ['asked ' + asked['pod'], os.environ['ANSIBLE_CONFIG']]}\n"
        "    pathlib.Path(asked['why_answer']).write_text(json.dumps(said))\n"
        "else:\n    sys.exit('no such inventory')\n"
    )
    program.chmod(0o755)
    site = {"server": f"http://127.0.0.1:{server.server_address[1]}", "config": "a.cfg", "command": [str(program)]}
    assert cli.main(["web"], site) == 2
    shown = capsys.readouterr()
    assert shown.out == "asked shop/web\na.cfg\n"
    assert "answered 500: etcdserver: request timed out; asking the cluster's hosts by ssh" in shown.err
    assert cli.main(["web", "-o", "json"], site) == 2
    assert json.loads(capsys.readouterr().out)["state"] == "unreachable"
    server.answers["/api/v1/namespaces/shop/pods/other"] = (500, {"message": "x"})
    assert cli.main(["other"], site) == 2
    assert "no such inventory" in capsys.readouterr().err
    server.answers["/api/v1/pods"] = (500, {"message": "x"})
    # Another cluster's hosts would know nothing of it; nor is there a playbook for everything.
    for arguments, other in ((["web"], {**site, "server": "https://other"}), (["web"], None), ([], site)):
        assert cli.main(arguments, other) == 2
        shown = capsys.readouterr()
        assert "on the control node: ansible-playbook -i inventory selfhosted.kubernetes." in shown.err
        assert "by ssh" not in shown.err


def test_who_hangs_up(tmp_path: Path) -> None:
    """A server that closes each connection is unreachable, and ends no program by a signal; nor does a reader."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            with contextlib.suppress(OSError):
                while True:
                    listener.accept()[0].close()

        threading.Thread(target=hang_up, daemon=True).start()
        answer = json.dumps(config(f"https://127.0.0.1:{listener.getsockname()[1]}"))
        (tmp_path / "kubectl").write_text(f"#!/bin/sh\necho '{answer}'\n")
        (tmp_path / "kubectl").chmod(0o755)
        folder = Path(cli.__file__).parents[1]
        code = f"import sys; sys.path.insert(0, {str(folder)!r}); from _why import cli; cli.run()"
        environment = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
        ask = [sys.executable, "-c", code]
        for _attempt in range(3):
            done = subprocess.run([*ask, "web"], env=environment, capture_output=True, text=True, check=False)
            assert (done.returncode, "does not answer" in done.stderr) == (2, True), done.stderr
    reader, writer = os.pipe()
    os.close(reader)
    cut = [*ask, "web", "-o", "json"]
    done = subprocess.run(cut, env=environment, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_runs_from_a_wheel_of_the_same_source() -> None:
    """The wheel's version is the collection's; its package needs nothing but Python."""
    root = Path(__file__).resolve().parents[5]
    text = (root / "kubectl/pyproject.toml").read_text()
    assert f'version = "{(root / "galaxy.yml").read_text().partition("version: ")[2].split()[0]}"' in text
    folder = root / "plugins/module_utils"
    code = f"import sys; sys.path.insert(0, {str(folder)!r}); import _why.cli; _why.cli.parser()"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
