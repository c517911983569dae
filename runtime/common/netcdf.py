"""One thread at a time: the NetCDF and HDF5 libraries are not made for several."""

import threading

LOCK = threading.RLock()
"""Held by whoever reads or writes a NetCDF file while a day is computed."""
