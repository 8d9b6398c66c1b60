# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The actions artifacts and images: options, check mode, what a user reads; against a registry on this machine."""

from __future__ import annotations

import ipaddress
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleActionFail
from ansible_collections.selfhosted.kubernetes.plugins.action import artifacts as artifacts_action
from ansible_collections.selfhosted.kubernetes.plugins.action import images as images_action
from ansible_collections.selfhosted.kubernetes.plugins.modules import artifacts as artifacts_module
from ansible_collections.selfhosted.kubernetes.plugins.modules import images as images_module
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._artifacts.cache import ArtifactError
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._artifacts.crane import Crane
from ansible_collections.selfhosted.kubernetes.plugins.plugin_utils._artifacts.engine import NATIVE
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

PAUSE = "registry.k8s.io/pause:3.10.2"
Run = Callable[..., dict[str, Any]]


def run(action: Any, check: bool = False, **arguments: Any) -> dict[str, Any]:
    """What a task with these arguments would register."""
    task = SimpleNamespace(args=arguments, check_mode=check, diff=False, async_val=0, no_log=False, action="it")
    connection = SimpleNamespace(_shell=SimpleNamespace(tmpdir=None))
    result: dict[str, Any] = action.ActionModule(task, connection, None, None, None, None).run(task_vars={})
    return result


# ---- images
@dataclass
class Registry:
    """Tags with their digests, and the files that a client needs."""

    address: str
    ca: Path
    tags: dict[str, str] = field(default_factory=dict)
    status: int = 200
    asked: list[tuple[str, str]] = field(default_factory=list)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificate and key of 127.0.0.1 in one file."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "registry")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(1))
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = builder.add_extension(names, critical=False).sign(key, hashes.SHA256())
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = tmp_path_factory.mktemp("registry") / "ca.pem"
    path.write_bytes(key.private_bytes(*form) + made.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def registry(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """One that answers HEAD requests for tags over TLS; an unreachable proxy is set, as it may be on a control node."""
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    served = Registry("", certificate)

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            served.asked.append((self.headers["Authorization"], self.headers["Accept"]))
            digest = served.tags.get(self.path)
            self.send_response(served.status if digest or served.status != 200 else 404)
            if digest:
                self.send_header("Docker-Content-Digest", digest)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    served.address = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def pushed() -> list[str]:
    """What crane was asked to push."""
    return []


@pytest.fixture
def images(registry: Registry, pushed: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run the action for one image, with a crane that does as it is told."""

    def told(crane: Crane, layout: str, ref: str) -> None:
        pushed.append(f"{layout} {crane.registry}/{ref}")

    monkeypatch.setattr(Crane, "push", told)
    monkeypatch.setattr(Crane, "copy", told)
    monkeypatch.setattr(Crane, "digest", lambda _crane, source: f"sha256:of-{source}")
    (tmp_path / "password").write_text("secret\n", encoding="ascii")
    image = {"ref": PAUSE, "digest": "sha256:aaa", "layout": "/cache/pause"}
    files = {"ca": str(registry.ca), "crane": "/cache/crane", "password_file": str(tmp_path / "password")}
    return lambda **options: run(images_action, **{"registry": registry.address, **files, "images": [image], **options})


def test_an_image_that_is_there_is_not_pushed(images: Run, registry: Registry, pushed: list[str]) -> None:
    """Its digest tells."""
    registry.tags["/v2/registry.k8s.io/pause/manifests/3.10.2"] = "sha256:aaa"
    assert images() == {"changed": False, "pushed": []}
    assert pushed == []
    ((authorization, accept),) = registry.asked
    assert authorization == "Basic cHVzaDpzZWNyZXQ=", "push:secret"
    assert "application/vnd.oci.image.index.v1+json" in accept, "else a registry answers with another digest"


@pytest.mark.parametrize("tags", [{}, {"/v2/registry.k8s.io/pause/manifests/3.10.2": "sha256:bbb"}])
def test_an_image_that_is_not_there_or_differs(
    images: Run, registry: Registry, pushed: list[str], tags: dict[str, str]
) -> None:
    """Check mode says so and pushes nothing."""
    registry.tags = tags
    assert images(check=True) == {"changed": True, "pushed": [PAUSE]}
    assert pushed == []
    assert images() == {"changed": True, "pushed": [PAUSE]}
    assert pushed == [f"/cache/pause {registry.address}/{PAUSE}"]


@pytest.mark.parametrize("digest", ["sha256:aaa", ""])
def test_an_image_is_copied_by_its_digest(images: Run, registry: Registry, pushed: list[str], digest: str) -> None:
    """That of the list, or else what the tag means now."""
    source = "mirror.example.org:5000/pause:3.10.2"
    meant = digest or f"sha256:of-{source}"
    image = {"ref": PAUSE, "source": source, "digest": digest}
    assert images(images=[image]) == {"changed": True, "pushed": [PAUSE]}
    assert pushed == [f"mirror.example.org:5000/pause@{meant} {registry.address}/{PAUSE}"]
    registry.tags["/v2/registry.k8s.io/pause/manifests/3.10.2"] = meant
    assert images(images=[image]) == {"changed": False, "pushed": []}


def test_a_registry_that_refuses(images: Run, registry: Registry) -> None:
    """An answer other than `no such tag` is an error."""
    registry.status = 503
    with pytest.raises(AnsibleActionFail, match=rf"registry {registry.address}: HTTP Error 503"):
        images()


def test_a_registry_that_is_not_there_yet(images: Run, pushed: list[str]) -> None:
    """Check mode before the first run predicts the push."""
    assert images(check=True, registry="127.0.0.1:9") == {"changed": True, "pushed": [PAUSE]}
    assert pushed == []
    with pytest.raises(AnsibleActionFail, match=r"registry 127.0.0.1:9: .*refused"):
        images(registry="127.0.0.1:9")


def test_a_registry_with_a_certificate_of_someone_else(images: Run, tmp_path: Path, registry: Registry) -> None:
    """Nothing is sent there."""
    stranger = tmp_path / "ca.pem"
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "other")]), datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(1))
    stranger.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    with pytest.raises(AnsibleActionFail, match="CERTIFICATE_VERIFY_FAILED"):
        images(ca=str(stranger))
    assert registry.asked == []


# ---- artifacts
class Engine:
    """Stands for the run; `outcome` is its result or its error."""

    outcome: Any
    options: dict[str, Any]
    missing: list[str]
    made: list[dict[str, Any]]

    def __init__(self, options: dict[str, Any], _progress: object) -> None:
        type(self).options = options

    def run(self) -> dict[str, Any]:
        """End as the test says."""
        if isinstance(type(self).outcome, Exception):
            raise type(self).outcome
        return dict(type(self).outcome)

    def bundle(self, target: Path) -> int:
        """Its size."""
        return len(str(target))


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> type[Engine]:
    """A run in which all is there already."""
    monkeypatch.setattr(artifacts_action, "Artifacts", Engine)
    for name, value in {"outcome": {"files": {}}, "options": {}, "missing": [], "made": []}.items():
        monkeypatch.setattr(Engine, name, value, raising=False)
    return Engine


@pytest.fixture
def artifacts(engine: type[Engine]) -> Run:
    """Run the action."""
    assert engine is Engine
    given = {"kubernetes_version": "1.37.2", "cache_dir": "/cache", "pins": "/pins.json"}
    return lambda **options: run(artifacts_action, **{**given, **options})


def test_defaults_and_what_is_passed_on(artifacts: Run, engine: type[Engine]) -> None:
    """Architectures of hosts that were not asked are empty."""
    assert artifacts() == {"files": {}, "changed": False, "made": []}
    assert engine.options["architectures"] == [NATIVE]
    assert (engine.options["source"], engine.options["mirror"], engine.options["check"]) == ("auto", "", False)
    artifacts(architectures=["arm64", "amd64", "", "arm64"], source="mirror", mirror="/bundle.tar", check=True)
    assert engine.options["architectures"] == ["amd64", "arm64"]
    assert (engine.options["source"], engine.options["mirror"], engine.options["check"]) == (
        "mirror",
        "/bundle.tar",
        True,
    )


def test_what_was_made_is_a_change(artifacts: Run, engine: type[Engine]) -> None:
    """With what and from where."""
    engine.made = [{"name": "runc 1.5.2 (amd64)", "source": "source", "seconds": 1.0}]
    assert artifacts()["changed"] is True
    assert artifacts()["made"] == engine.made


def test_check_mode_that_cannot_know(artifacts: Run, engine: type[Engine]) -> None:
    """Later tasks need digests that only a build gives."""
    engine.missing = ["runc 1.5.2 (amd64)", "etcd 3.7.3 (amd64)"]
    with pytest.raises(AnsibleActionFail, match=r"--check cannot build or fetch: runc 1\.5\.2 \(amd64\), etcd .*first"):
        artifacts(check=True)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ArtifactError("nothing is to be had"), "^nothing is to be had$"),
        (
            OSError(28, "No space left on device"),
            "No space left .*free some space, or set artifacts_cache_dir; the next",
        ),
        (PermissionError(13, "Permission denied", "/cache"), "'/cache': is the folder writable"),
    ],
)
def test_errors_are_for_people(artifacts: Run, engine: type[Engine], error: Exception, text: str) -> None:
    """And no tracebacks."""
    engine.outcome = error
    with pytest.raises(AnsibleActionFail, match=text):
        artifacts()


def test_a_bundle_is_written_but_not_in_check_mode(artifacts: Run) -> None:
    """Its size is shown by the playbook."""
    assert artifacts(bundle="/usb/bundle.tar")["bundle_bytes"] == 15
    assert "bundle_bytes" not in artifacts(bundle="/usb/bundle.tar", check=True)


@pytest.mark.parametrize(
    ("action", "module", "arguments"),
    [
        (artifacts_action, artifacts_module, {"kubernetes_version": "1", "cache_dir": "/c", "pins": "/p"}),
        (
            images_action,
            images_module,
            {"registry": "r", "ca": "/c", "crane": "/c", "password_file": "/p", "images": []},
        ),
    ],
)
def test_documentation_and_argument_spec_agree(
    monkeypatch: pytest.MonkeyPatch, action: Any, module: Any, arguments: dict[str, Any]
) -> None:
    """Names, types, defaults and choices; an unknown option is refused."""
    seen: dict[str, Any] = {}

    class StopError(Exception):
        """The spec is all that is wanted."""

    def keep(_self: object, argument_spec: dict[str, Any]) -> None:
        seen.update(argument_spec)
        raise StopError

    monkeypatch.setattr(action.ActionModule, "validate_argument_spec", keep)
    with pytest.raises(StopError):
        run(action, **arguments)
    described = {
        name: {key: value for key, value in option.items() if key != "description"}
        for name, option in yaml.safe_load(module.DOCUMENTATION)["options"].items()
    }
    assert described == seen
