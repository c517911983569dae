"""Add to an LPRM file what a genuine one says of its cells."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from netCDF4 import Dataset

_STEPS = {"ts": 0.1, "opt_depth_x": 0.01, "mask": 1.0}
_USUAL = {"ts": 290.0, "opt_depth_x": 0.3, "mask": 0.0}


def mark_lprm(path: Path, **variables: Mapping[tuple[int, int], float]) -> None:
    """Give variables to a file: the value of some cells by row and column, a usual one elsewhere."""
    with Dataset(path, "a") as file:
        file.set_auto_maskandscale(False)
        for name, cells in variables.items():
            is_packed = name != "mask"
            fill = -32767 if is_packed else False
            made = file.variables.get(name) or file.createVariable(
                name, "i2", ("Longitude", "Latitude"), fill_value=fill
            )
            made.set_auto_maskandscale(False)
            if is_packed:
                made.setncatts({"scale_factor": np.float32(_STEPS[name]), "add_offset": np.float32(0)})
            values = np.full(made.shape, _USUAL[name])
            for (row, col), value in cells.items():
                values[col, row] = value
            made[:] = np.rint(values / _STEPS[name])
