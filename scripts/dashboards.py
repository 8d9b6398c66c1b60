#!/usr/bin/env python3
"""Write Grafana's dashboards (roles/grafana/files/dashboards) from dashboards.yml with grafana-foundation-sdk.

`--check` only says whether they differ.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import yaml
from grafana_foundation_sdk.builders.common import ReduceDataOptions, VizLegendOptions
from grafana_foundation_sdk.builders.dashboard import (
    Dashboard,
    DashboardLink,
    DatasourceVariable,
    QueryVariable,
    Row,
    ThresholdsConfig,
)
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import LegendDisplayMode, LegendPlacement
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parent / "roles/grafana/files/dashboards"
SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
TAG = "selfhosted-kubernetes"

HEIGHTS = {"number": 4, "lines": 8, "table": 8}
Panel = dict[str, Any]
BUILDERS: dict[str, Callable[[], Any]] = {"number": Stat, "lines": TimeSeries, "table": Table}


def thresholds(panel: Panel) -> ThresholdsConfig:
    """Colours of a number."""
    colours = ("red", "orange", "green") if panel.get("falling") else ("green", "orange", "red")
    values = (None, *panel.get("steps", []))
    steps = [Threshold(value=value, color=colour) for value, colour in zip(values, colours, strict=False)]
    return ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)


def build_panel(panel: Panel, identity: int, width: int) -> Any:
    """A panel by the SDK."""
    kind = panel.get("kind", "lines")
    height = HEIGHTS[kind]
    built = BUILDERS[kind]().id(identity).title(panel["title"]).unit(panel["unit"]).datasource(SOURCE)
    built = built.span(width).height(height).min(0) if kind == "lines" else built.span(width).height(height)
    if "most" in panel:
        built = built.max(panel["most"])
    if kind == "number":
        built = built.thresholds(thresholds(panel)).reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
    if kind == "lines":
        legend = VizLegendOptions().show_legend(True)
        built = built.legend(legend.display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM))
    for letter, (name, expression) in zip("ABCDEFGH", panel["queries"].items(), strict=False):
        query = Dataquery().ref_id(letter).expr(expression).datasource(SOURCE)
        query = query.legend_format(name) if name else query
        query = query.range() if kind == "lines" else query.instant()
        built = built.with_target(query.format(PromQueryFormat.TABLE) if kind == "table" else query)
    return built


def build(page: dict[str, Any]) -> Dashboard:
    """A dashboard by the SDK."""
    links = DashboardLink("Other dashboards").type(DashboardLinkType.DASHBOARDS).tags([TAG])
    board = (
        Dashboard(page["title"])
        .uid(page["uid"])
        .description(page["about"])
        .tags([TAG])
        .time("now-6h", "now")
        .refresh("1m")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .readonly()
        .link(links.as_dropdown(True).keep_time(True).include_vars(True))
        .with_variable(DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )
    for name, query in page.get("variables", {}).items():
        variable = QueryVariable(name).label(name).datasource(SOURCE).query(query).multi(True).include_all(True)
        board = board.with_variable(variable.all_value(".*").refresh(VariableRefresh.ON_TIME_RANGE_CHANGED))
    identities = count(1)
    for title, panels in page["rows"].items():
        board = board.with_row(Row(title).id(next(identities)))
        numbers = sum(panel.get("kind") == "number" for panel in panels)
        for panel in panels:
            # Numbers of a row share its first line.
            width = 24 // numbers if panel.get("kind") == "number" else 12
            board = board.with_panel(build_panel(panel, next(identities), width))
    return board


def pages() -> list[dict[str, Any]]:
    """What they are made of."""
    found: list[dict[str, Any]] = yaml.safe_load((HERE / "dashboards.yml").read_text(encoding="utf-8"))
    return found


def documents() -> Iterator[tuple[Path, str]]:
    """Each file and what belongs into it."""
    for page in pages():
        text = JSONEncoder(sort_keys=True, indent=1).encode(build(page).build())
        yield FOLDER / f"{page['uid'].removeprefix('shk-')}.json", f"{text}\n"


def main() -> int:
    """Write, or check."""
    wanted = dict(documents())
    stale = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    stale += sorted(set(FOLDER.glob("*.json")) - set(wanted))
    if "--check" in sys.argv:
        for path in stale:
            print(f"{path.name} differs from what scripts/dashboards.py writes: run it")
        return int(bool(stale))
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path in stale:
        if path in wanted:
            path.write_text(wanted[path], encoding="utf-8")
        else:
            path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
