"""Write files as SMAP, JAXA and SMOS publish them, from what the products' documents say, not from the readers.

Fields are functions of latitude and longitude, so that a test knows what each place must have.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pyproj
from netCDF4 import Dataset

Field = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Soil moisture, m3 m-3, at latitudes and longitudes; NaN for none."""

_EASE2 = {36: (406, 964, 36032.22), 25: (584, 1388, 25025.26), 9: (1624, 3856, 9008.055)}
"""Rows, columns and cell size in m of EASE-Grid 2.0 global."""
_J2000 = dt.datetime(2000, 1, 1, 11, 58, 55, 816000)


def ease2_centres(cell_km: int) -> tuple[np.ndarray, np.ndarray]:
    """Latitudes, north first, and longitudes of the cells' centres, by EPSG:6933."""
    rows, cols, size = _EASE2[cell_km]
    to_degrees = pyproj.Transformer.from_crs("EPSG:6933", "EPSG:4326", always_xy=True)
    top, left = rows * size / 2, -cols * size / 2
    lat = to_degrees.transform(np.zeros(rows), top - size * (np.arange(rows) + 0.5))[1]
    lon = to_degrees.transform(left + size * (np.arange(cols) + 0.5), np.zeros(cols))[0]
    return np.asarray(lat), np.asarray(lon)


def write_smap(
    folder: Path,
    date: dt.date,
    morning: Field,
    evening: Field,
    *,
    cell_km: int = 36,
    counter: int = 1,
    not_recommended: Field | None = None,
    scanned: dt.date | None = None,
    broken_times: bool = False,
    has_seconds: bool = True,
) -> Path:
    """SMAP L3: a group a half orbit, coordinates with -9999 where nothing was seen, names of the evening end in _pm."""
    letters = "P_E" if cell_km == 9 else "P"
    path = folder / f"SMAP_L3_SM_{letters}_{date:%Y%m%d}_R19240_{counter:03}.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    lat, lon = np.meshgrid(*ease2_centres(cell_km), indexing="ij")
    begin = dt.datetime.combine(scanned or date, dt.time())
    with h5py.File(path, "w") as file:
        for half, end, field, hour in (("AM", "", morning, 6), ("PM", "_pm", evening, 18)):
            group = file.create_group(f"Soil_Moisture_Retrieval_Data_{half}")
            values = field(lat, lon).astype("f4")
            seen = np.isfinite(values)

            def write(name: str, stored: np.ndarray, end: str = end, group: h5py.Group = group, **attributes: object):
                data = group.create_dataset(f"{name}{end}", data=stored, compression="gzip", shuffle=True)
                data.attrs.update(attributes)

            write(
                "soil_moisture",
                np.where(seen, values, np.float32(-9999)),
                _FillValue=np.float32(-9999),
                valid_min=np.float32(0.02),
                valid_max=np.float32(0.6),
                units="cm**3/cm**3",
            )
            flag = np.where(seen, 0, 65534).astype("u2")
            if not_recommended is not None:
                flag[seen & (not_recommended(lat, lon) > 0)] |= 1
            write("retrieval_qual_flag", flag, _FillValue=np.uint16(65534))
            write("surface_flag", np.zeros(values.shape, "u2"))
            write("latitude", np.where(seen, lat, -9999).astype("f4"), _FillValue=np.float32(-9999))
            write("longitude", np.where(seen, lon, -9999).astype("f4"), _FillValue=np.float32(-9999))
            overpass = begin + dt.timedelta(hours=hour)
            if has_seconds:
                seconds = (overpass - _J2000).total_seconds()
                write("tb_time_seconds", np.where(seen, seconds, -9999.0), _FillValue=-9999.0)
            texts = np.full(values.shape, b"N/A", "S24")
            texts[seen] = f"{overpass:%Y-%m-%dT%H:%M:%S}.000Z".encode()
            if broken_times:
                texts[seen & (lat > 0)] = b"***"
            write("tb_time_utc", texts)
    return path


def write_jaxa(
    folder: Path,
    date: dt.date,
    field: Field,
    *,
    letter: str = "L",
    step: float = 0.25,
    orbit: str = "D",
    scale: float = 0.1,
    period: str = "01D",
    minutes: float = 90.0,
) -> Path:
    """JAXA L3 SMC: int16 (rows, columns, 1), percent by SCALE FACTOR, no coordinates, north and west first."""
    path = folder / f"GW1AM2_{date:%Y%m%d}_{period}_EQM{orbit}_L3SGSMC{letter}F3300300.h5"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows, cols = round(180 / step), round(360 / step)
    lat, lon = np.meshgrid(90 - step * (np.arange(rows) + 0.5), -180 + step * (np.arange(cols) + 0.5), indexing="ij")
    values = field(lat, lon)
    seen = np.isfinite(values)
    stored = np.where(seen, np.rint(np.nan_to_num(values) * 100 / scale), -32768)
    stored[~seen & (lat < 0)] = -32767
    with h5py.File(path, "w") as file:
        data = file.create_dataset("Geophysical Data", data=stored.astype("i2")[..., None], compression="gzip")
        data.attrs["SCALE FACTOR"] = np.float32(scale)
        data.attrs["UNIT"] = "%"
        file.create_dataset("Time Information", data=np.where(seen, minutes, -9999).astype("i2")[..., None])
    return path


def write_smos(
    folder: Path,
    date: dt.date,
    field: Field,
    *,
    orbit: str = "A",
    code: str = "CLF31",
    south_first: bool = False,
    dqx: Field | None = None,
    rfi: Field | None = None,
    flagged: Field | None = None,
) -> Path:
    """SMOS CATDS L3 on EASE-Grid 2.0 at 25 km, with DQX, RFI probability and science flags."""
    path = folder / f"SM_OPER_MIR_{code}{orbit}_{date:%Y%m%d}T000000_{date:%Y%m%d}T235959_339_001_7.DBL.nc"
    path.parent.mkdir(parents=True, exist_ok=True)
    centres = ease2_centres(25)
    lats = centres[0][::-1] if south_first else centres[0]
    lat, lon = np.meshgrid(lats, centres[1], indexing="ij")

    def of(function: Field | None, usual: float) -> np.ndarray:
        return np.full(lat.shape, usual) if function is None else function(lat, lon)

    with Dataset(path, "w") as file:
        for name, axis in (("lat", lats), ("lon", centres[1])):
            file.createDimension(name, axis.size)
            file.createVariable(name, "f4", (name,))[:] = axis
        values = field(lat, lon)
        soil = file.createVariable("Soil_Moisture", "f4", ("lat", "lon"), fill_value=np.nan, compression="zlib")
        soil.units = "m3 m-3"
        soil[:] = values
        file.createVariable("Soil_Moisture_Dqx", "f4", ("lat", "lon"), fill_value=np.nan)[:] = of(dqx, 0.03)
        file.createVariable("Rfi_Prob", "f4", ("lat", "lon"), fill_value=np.nan)[:] = of(rfi, 0.1)
        flags = file.createVariable("Science_Flags", "i4", ("lat", "lon"))
        flags[:] = (of(flagged, 0.0) > 0).astype("i4") | 64
    return path
