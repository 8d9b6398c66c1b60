#!/usr/bin/env python3
"""Write each role's README and docs/variables.md from the argument specs, so that they cannot differ.

`--check` only says whether they do.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
NOTE = "<!-- Made by scripts/docs.py from meta/argument_specs.yml; change that instead. -->"


def plain(text: str) -> str:
    """Ansible's markup as Markdown."""
    return re.sub(r"\b[COVFIBM]\(([^)]*)\)", r"`\1`", text)


def lines(value: str | list[str]) -> list[str]:
    """A description is a text or a list of them."""
    return [plain(text) for text in ([value] if isinstance(value, str) else value)]


def default(option: dict[str, Any]) -> str:
    """The default as a user would write it."""
    if "default" not in option:
        return ""
    value = option["default"]
    return f"`{str(value).lower() if isinstance(value, bool) else value!r}`" if value != "" else "`''`"


def table(options: dict[str, dict[str, Any]]) -> list[str]:
    """One row an option."""
    rows = ["| variable | type | default | meaning |", "|---|---|---|---|"]
    for name, option in options.items():
        kind = option["type"] + (f" of {option['elements']}" if "elements" in option else "")
        choices = f" One of {', '.join(f'`{choice}`' for choice in option['choices'])}." if "choices" in option else ""
        rows.append(f"| `{name}` | {kind} | {default(option)} | {' '.join(lines(option['description']))}{choices} |")
    return rows


def pages() -> dict[Path, str]:
    """Every page by path."""
    result: dict[Path, str] = {}
    index = ["# Public variables", "", NOTE.replace("meta/", "roles/*/meta/"), ""]
    others = "All other values are derived from the inventory; each role's README lists them too."
    index += [f"{others} A name with one of our prefixes that no role knows is an error.", ""]
    for spec in sorted(ROOT.glob("roles/*/meta/argument_specs.yml")):
        role = spec.parents[1].name
        main = yaml.safe_load(spec.read_text(encoding="utf-8"))["argument_specs"]["main"]
        options = main.get("options", {})
        text = [
            f"# {role}",
            "",
            NOTE,
            "",
            plain(main["short_description"]) + ".",
            "",
            *lines(main.get("description", [])),
            "",
        ]
        result[spec.parents[1] / "README.md"] = "\n".join([*text, *(table(options) if options else []), ""])
        public = {
            name: option for name, option in options.items() if "(derived" not in " ".join(lines(option["description"]))
        }
        if public:
            index += [f"## {role}", "", plain(main["short_description"]) + ".", "", *table(public), ""]
    result[ROOT / "docs/variables.md"] = "\n".join(index)
    return result


def main() -> int:
    """Write, or check."""
    stale = [path for path, text in pages().items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv:
        for path in stale:
            print(f"{path.relative_to(ROOT)} differs from the argument specs: run scripts/docs.py")
        return 1 if stale else 0
    for path in stale:
        path.write_text(pages()[path], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
