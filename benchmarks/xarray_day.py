"""Measure the files of a day alone: read nine LPRM files and write a daily file with xarray, without computing.

    python benchmarks/xarray_day.py FOLDER DATE PUBLISHED OUT

PUBLISHED is a daily file; its variables and encoding are written again to OUT.
"""

import datetime as dt
import sys
import time
from pathlib import Path

import xarray


def main() -> None:
    """Read and write, and print the seconds of each."""
    folder, date, published, out = Path(sys.argv[1]), dt.date.fromisoformat(sys.argv[2]), *map(Path, sys.argv[3:])
    day = xarray.open_dataset(published).load()
    started = time.perf_counter()
    for offset in range(-4, 5):
        for file in folder.glob(f"*_{date + dt.timedelta(offset):%Y%m%d}*"):
            xarray.open_dataset(file)["soil_moisture_x"].load()
    read = time.perf_counter()
    day.to_netcdf(out)
    print(f"{read - started:.3f} {time.perf_counter() - read:.3f}")


if __name__ == "__main__":
    main()
