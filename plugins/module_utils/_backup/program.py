# Copyright (c) 2026 selfhosted.kubernetes contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command `backup` of an outside host. What it prints is JSON, what is wrong is on stderr."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from . import drilling, looking, saving, volumes
from .common import BackupError, Settings, load, records
from .repository import Repository, pick

SNAPSHOT = "`latest`, an id of `backup list`, or a time as 2026-01-31T10:00 (UTC): the newest one until then"


def parser() -> argparse.ArgumentParser:
    """What it can do."""
    top = argparse.ArgumentParser(prog="backup", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    commands.add_parser("run", help="make one now; the timer does so by backup.service")
    commands.add_parser(
        "run-volumes", help="save the volumes of claims that are marked; its timer does so by backup-volumes.service"
    )
    commands.add_parser("list", help="how the last run ended, and what there is")
    fetch = commands.add_parser("fetch", help="a snapshot of etcd out of a backup, verified")
    fetch.add_argument("snapshot", help=SNAPSHOT)
    fetch.add_argument("folder", type=Path)
    drill = commands.add_parser("drill", help="serve a backup away from everything and compare it")
    drill.add_argument("snapshot", nargs="?", default="latest", help=SNAPSHOT)
    show = commands.add_parser("show", help="an object, all of a namespace, or what is saved of a claim's volume")
    of_what = "KIND/NAMESPACE/NAME or KIND/NAME, as secret/shop/db, namespace/shop, or volume/shop/db"
    show.add_argument("object", help=of_what)
    show.add_argument("snapshot", nargs="?", default="latest", help=SNAPSHOT)
    show.add_argument("--apply", action="store_true", help="put it back; a volume only when no pod uses it")
    look = commands.add_parser("look")
    for name in ("folder", "service_network", "programs", "object"):
        look.add_argument(name)
    return top


def answer(options: argparse.Namespace) -> tuple[int, Any]:
    """Exit code, and what is printed."""
    if options.command == "look":
        return 0, looking.look(Path(options.folder), options.service_network, options.programs, options.object)
    settings = load()
    if options.command in ("run", "run-volumes"):
        entry = (saving.back_up if options.command == "run" else volumes.back_up_volumes)(settings)
        sys.stderr.write("".join(f"{line}\n" for line in entry["errors"]))
        return int(bool(entry["errors"])), entry
    if options.command == "list":
        return 0, listed(settings)
    if options.command == "fetch":
        chosen = pick(Repository(settings).snapshots(), options.snapshot)
        return 0, saving.fetch(settings, chosen["id"], options.folder)
    if options.command == "drill":
        entry = drilling.drill(settings, options.snapshot)
        drilling.explain(entry)
        return int(entry["result"] != "success"), entry
    kind, _, claim = options.object.partition("/")
    if kind == "volume":
        return 0, (volumes.put_back if options.apply else volumes.look)(settings, claim, options.snapshot)
    document = drilling.show(settings, options.object, options.snapshot)
    return 0, saving.apply(settings, document) if options.apply else document


def listed(settings: Settings) -> dict[str, Any]:
    """How the last runs ended, and what there is; of volumes where there is storage."""
    said = {"last": next(reversed(records(settings, "runs")), None), "backups": saving.listed(settings)}
    if settings.file_system:
        said["volumes"] = next(reversed(records(settings, volumes.RUNS)), None)
    return said


def main() -> int:
    """Errors are for people, without a traceback."""
    try:
        code, document = answer(parser().parse_args())
    except (BackupError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(document if isinstance(document, str) else json.dumps(document) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
