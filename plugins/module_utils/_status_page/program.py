# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rebuilds the status page; its timer does so every minute. Whatever does not answer, there is a page that says so."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import jinja2
import markdown
from markupsafe import Markup

from . import records, seeing
from .asking import Answer, ask, recall
from .common import Settings, load, moment, write

HERE = Path(__file__).parent
# A link to another page of the documentation.
PAGE = re.compile(r'href="(?!\w+:|/)([^"#]+)\.md(#[^"]*)?"')
# One to what is not shipped, as to a folder or a program.
ELSEWHERE = re.compile(r'<a href="(?!\w+:|#|[^"]*\.html)[^"]*">(.*?)</a>')
PICTURE = re.compile(r"<img\b[^>]*>")
EXTENSIONS = ["tables", "fenced_code", "toc", "sane_lists"]


def environment() -> jinja2.Environment:
    """Templates that escape everything that they are given."""
    loader = jinja2.FileSystemLoader(HERE)
    return jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )


def digest(text: str) -> str:
    """What a browser may run or apply: this very text, and nothing else in the page."""
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def common() -> dict[str, Any]:
    """What both kinds of pages have in them."""
    style, script = ((HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    policy = f"default-src 'none'; img-src data:; style-src {digest(style)}; script-src {digest(script)}"
    return {"style": style, "script": script, "policy": policy}


def page(settings: Settings, answer: Answer, state: dict[str, Any], now: float) -> str:
    """The page, from what is known now."""
    hosts = seeing.topology(settings, answer)
    alerts = seeing.shown_alerts(state.get("alerts", []))
    level, sentence = seeing.headline(hosts, alerts, state, answer.error)
    groups = [
        ("masters", [it for it in hosts if {"masters", "etcd"} & set(it["groups"])]),
        ("workers", [it for it in hosts if "workers" in it["groups"] and "masters" not in it["groups"]]),
        ("outside", [it for it in hosts if "outside" in it["groups"]]),
        ("storage", [it for it in hosts if "storage" in it["groups"] and "outside" not in it["groups"]]),
    ]
    return (
        environment()
        .get_template("page.html.tmpl")
        .render(
            **common(),
            settings=settings,
            level=level,
            sentence=sentence,
            error=answer.error,
            built=moment(now),
            built_seconds=int(now),
            as_of=moment(state["answered"]) if answer.error and state.get("answered") else "",
            groups=[(name, members) for name, members in groups if members],
            alerts=alerts,
            certificates=seeing.certificate_rows(state, now),
            versions=seeing.version_rows(settings, state, now),
            backups=records.story(settings, now),
            docs=sorted(path.stem for path in Path(settings.docs, "runbooks").glob("*.md")),
        )
    )


def rendered(text: str, name: str, depth: int) -> str:
    """A page of the documentation as HTML; its links to others lead to what lies beside it."""
    body = markdown.markdown(text, extensions=EXTENSIONS, output_format="html")
    body = PICTURE.sub("", ELSEWHERE.sub(r"\1", PAGE.sub(r'href="\1.html\2"', body)))
    title = next((line.lstrip("# ") for line in text.splitlines() if line.startswith("# ")), name)
    # The text is the collection's own, as trusted as this program.
    document = {"title": title, "body": Markup(body), "up": "../" * depth}
    return environment().get_template("doc.html.tmpl").render(**common(), **document)


def documentation(settings: Settings) -> None:
    """Write pages anew that a site run changed."""
    source, target = Path(settings.docs), settings.www / "docs"
    program = max(path.stat().st_mtime for path in HERE.iterdir() if path.is_file())
    wanted = {target / path.relative_to(source).with_suffix(".html"): path for path in source.rglob("*.md")}
    for page_path, path in wanted.items():
        if page_path.exists() and page_path.stat().st_mtime > max(path.stat().st_mtime, program):
            continue
        depth = len(page_path.relative_to(settings.www).parts) - 1
        write(page_path, rendered(path.read_text(encoding="utf-8"), path.stem, depth))
    for page_path in set(target.rglob("*.html")) - set(wanted):
        page_path.unlink()


def build(settings: Settings, now: float) -> str:
    """Ask, write down, write the page; returns why Prometheus did not answer."""
    answer = ask(settings)
    state = seeing.remember(settings, recall(settings), answer, now)
    write(Path(settings.data) / "state.json", json.dumps(state))
    write(settings.www / "index.html", page(settings, answer, state, now))
    documentation(settings)
    return answer.error


def main() -> int:
    """What went wrong with Prometheus is on the page and in the journal; the page itself was made all the same."""
    if error := build(load(), time.time()):
        sys.stderr.write(f"Prometheus does not answer: {error}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
