# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A service on the outside host: each event of the cluster, each time that it happens, is a line of the logs.

It waits for whichever of API and VictoriaLogs is down, and remembers how far it came.
"""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

CA = "/etc/kubernetes/pki/ca.crt"
FOLDER = Path("/etc/kubernetes-events")
STATE = Path("/var/lib/kubernetes-events/version")
STORE = ("127.0.0.1", 9427)
INSERT = "/insert/jsonline?" + urlencode(
    {"_stream_fields": "log,namespace", "_time_field": "time", "_msg_field": "message"}
)
WATCH_SECONDS = 300
# The API sends a bookmark each minute.
SILENCE_SECONDS = 150
WAIT_SECONDS = 2
GONE = 410
PAGE = 500


class GoneError(Exception):
    """The API no longer knows what happened since then."""


def line(event: dict[str, Any]) -> dict[str, str]:
    """What the logs hold of an event, in the words of metrics."""
    about, source = event.get("involvedObject") or {}, event.get("source") or {}
    stamps = (event.get("lastTimestamp"), event.get("eventTime"), (event.get("series") or {}).get("lastObservedTime"))
    kind, name = about.get("kind", ""), about.get("name", "")
    # A container is named within its pod: spec.containers{web}.
    container = str(about.get("fieldPath") or "").partition("{")[2].rstrip("}")
    found = {
        "time": max((stamp for stamp in stamps if stamp), default=event["metadata"]["creationTimestamp"]),
        "message": event.get("message") or event.get("reason") or "no message",
        "log": "event",
        "namespace": about.get("namespace", ""),
        "pod": name if kind == "Pod" else "",
        "container": container,
        "node": name if kind == "Node" else source.get("host", ""),
        "kind": kind,
        "name": name,
        "type": event.get("type", ""),
        "reason": event.get("reason", ""),
        "count": str((event.get("series") or {}).get("count") or event.get("count") or 1),
        "component": source.get("component") or event.get("reportingComponent", ""),
    }
    return {key: value for key, value in found.items() if value}


class Api:
    """The cluster's events."""

    def __init__(self, server: str) -> None:
        self._at = urlsplit(server).netloc
        self._tls = ssl.create_default_context(cafile=CA)
        self._tls.load_cert_chain(FOLDER / "client.crt", FOLDER / "client.key")

    def _get(self, **query: str) -> http.client.HTTPResponse:
        connection = http.client.HTTPSConnection(self._at, timeout=SILENCE_SECONDS, context=self._tls)
        connection.request("GET", f"/api/v1/events?{urlencode(query)}", headers={"Accept": "application/json"})
        answer = connection.getresponse()
        if answer.status == GONE:
            raise GoneError
        if answer.status != http.client.OK:
            raise OSError(f"the API answers {answer.status} {answer.reason}")
        return answer

    def listed(self) -> tuple[list[dict[str, Any]], str]:
        """All that there are, and the version up to which they are."""
        items: list[dict[str, Any]] = []
        following = ""
        while True:
            with self._get(limit=str(PAGE), **({"continue": following} if following else {})) as answer:
                page = json.load(answer)
            items += page["items"]
            following = page["metadata"].get("continue", "")
            if not following:
                return items, page["metadata"]["resourceVersion"]

    def watched(self, version: str) -> Iterator[dict[str, Any]]:
        """What happens after a version, for some minutes."""
        wish = {"watch": "1", "allowWatchBookmarks": "1", "timeoutSeconds": str(WATCH_SECONDS)}
        with self._get(resourceVersion=version, **wish) as answer:
            for text in answer:
                change = json.loads(text)
                if change["type"] == "ERROR":
                    if change["object"].get("code") == GONE:
                        raise GoneError
                    raise OSError(f"the API says: {change['object'].get('message')}")
                yield change


def store(lines: list[dict[str, str]]) -> None:
    """Into VictoriaLogs; an error where it did not take them."""
    password = (FOLDER / "password").read_text(encoding="utf-8").strip()
    headers = {"Authorization": "Basic " + base64.b64encode(f"logging:{password}".encode()).decode()}
    connection = http.client.HTTPConnection(*STORE, timeout=60)
    try:
        connection.request("POST", INSERT, "".join(f"{json.dumps(it)}\n" for it in lines), headers)
        answer = connection.getresponse()
        if answer.status // 100 != 2:
            raise OSError(f"VictoriaLogs answers {answer.status} {answer.reason}")
    finally:
        connection.close()


def follow(api: Api, put: Callable[[list[dict[str, str]]], None], state: Path) -> None:
    """Everything since the last time, and then what comes; ends by an error, or when the API ends a watch."""
    known = state.read_text(encoding="utf-8").strip() if state.exists() else ""
    if not known:
        known = catch_up(api, put, state, 0)
    try:
        for change in api.watched(known):
            if change["type"] in ("ADDED", "MODIFIED"):
                put([line(change["object"])])
            remember(state, change["object"]["metadata"]["resourceVersion"])
    except GoneError:
        catch_up(api, put, state, int(known))


def catch_up(api: Api, put: Callable[[list[dict[str, str]]], None], state: Path, known: int) -> str:
    """Store what changed after a version, and say up to which; versions are numbers that grow (KEP-5504)."""
    items, version = api.listed()
    if lines := [line(it) for it in items if int(it["metadata"]["resourceVersion"]) > known]:
        put(lines)
    remember(state, version)
    return version


def remember(state: Path, version: str) -> None:
    """So that nothing is missing after a restart, and what was being stored then at most is there twice."""
    temporary = state.with_suffix(".new")
    temporary.write_text(version, encoding="utf-8")
    temporary.replace(state)


def main(server: str) -> None:
    """For ever."""
    api, said = Api(server), ""
    while True:
        try:
            follow(api, store, STATE)
            problem = ""
        except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
            problem = f"{type(error).__name__}: {error}"
            time.sleep(WAIT_SECONDS)
        # Once, not each time.
        if problem != said:
            sys.stdout.write(f"waiting, {problem}\n" if problem else "events are stored again\n")
            said = problem


if __name__ == "__main__":
    main(sys.argv[1])
