"""Simulate soil that rain wets and that dries with its climate, observed by an instrument like AMSR2."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from runtime.common.grid import Bools, Floats, Grid

Doubles = NDArray[np.float64]

ORBITS_PER_DAY = 233 / 16
"""The orbit of AMSR2 (GCOM-W1) repeats after 233 revolutions in 16 days."""
_INCLINATION = np.radians(98.2)
"""Inclination of the orbit."""
_KM_PER_DEGREE = 111.2
"""Length of a degree on the ground."""
_SHARED_LENGTH = 3.0
"""Correlation length of the part of the retrieval error that neighbours have in common, cells."""
_SPIN_UP = 45
"""Days simulated before the first one, so that the soil depends on the weather."""


@dataclass(frozen=True)
class Instrument:
    """A satellite instrument: when it passes, what it covers, and how what it reports differs from the truth."""

    noise: float
    """Standard deviation of its error, m3 m-3."""
    shared_noise: float = 0.0
    """Share of that error's variance that neighbouring cells of the same day have in common."""
    gain: float = 1.0
    """What the true soil moisture is multiplied by."""
    bias: float = 0.0
    """What is added to it, m3 m-3."""
    orbits_per_day: float = ORBITS_PER_DAY
    swath_km: float = 1450.0
    """Width of its swath."""
    phase: float = 0.0
    """By how much of an orbit it is ahead of AMSR2."""


@dataclass(frozen=True)
class WorldDay:
    """One day of the world; every field has the shape (rows, cols)."""

    date: dt.date
    truth: Floats
    """True soil moisture of every land cell, m3 m-3; NaN off land."""
    observed: Floats
    """Observed soil moisture, m3 m-3 in steps of 0.01; NaN for a gap."""
    rain: Floats
    """Precipitation of every cell, mm/day."""
    temperature: Floats
    """Skin temperature, K."""


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], length: float) -> Doubles:
    """Return smooth Gaussian noise, periodic in both axes.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of random numbers.
    shape : (int, int)
        Rows and columns.
    length : float
        Correlation length, cells.

    Returns
    -------
    float64 array, shape (rows, cols)
        Noise with mean 0 and standard deviation 1.
    """
    ky, kx = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None]
    spectrum = np.fft.rfft2(rng.standard_normal(shape)) * np.exp(-2 * (np.pi * length) ** 2 * (ky**2 + kx**2))
    spectrum[0, 0] = 0
    field = np.asarray(np.fft.irfft2(spectrum, s=shape))
    return field / max(float(field.std()), 1e-12)


class World:
    """A synthetic world on a grid.

    Parameters
    ----------
    grid : Grid
        The grid.
    seed : int
        Seed of the random numbers; the same seed and grid give the same world.
    retrieval_noise : float
        Standard deviation of the instrument's error, m3 m-3.
    shared_noise : float
        Share of that error's variance that neighbouring cells of the same day have in common, over some cells, as real
        retrievals do; the rest is independent from cell to cell.
    """

    def __init__(self, grid: Grid, seed: int, retrieval_noise: float = 0.025, shared_noise: float = 0.0) -> None:
        self.grid, self.seed, self.retrieval_noise, self.shared_noise = grid, seed, retrieval_noise, shared_noise
        rng = np.random.default_rng([seed, 0])
        latitude = np.radians(grid.latitudes)[:, None]
        texture = smooth_noise(rng, grid.shape, 3) * 0.6 + smooth_noise(rng, grid.shape, 12) * 0.8
        belts = 0.9 * np.cos(3 * latitude) * np.cos(latitude) + 0.35 * np.sin(2 * np.abs(latitude))
        self.wetness = 1 / (1 + np.exp(-(2.2 * belts + 0.9 * smooth_noise(rng, grid.shape, 40) - 0.3)))
        self.dry = (0.04 + 0.05 * (1 / (1 + np.exp(-texture)))).astype(np.float64)
        self.porosity = 0.38 + 0.06 * texture.clip(-1.5, 1.5) + 0.12 * self.wetness
        self.drying_days = 2.5 + 9 * self.wetness + 3 * np.abs(np.sin(latitude))
        self.forest = (self.wetness > 0.93) & (np.abs(np.degrees(latitude)) < 14)
        self._eastward = np.where(np.abs(np.degrees(latitude[:, 0])) > 25, 14, -9)

    def days(self, start: dt.date, count: int) -> Iterator[WorldDay]:
        """Yield `count` consecutive days from `start`; the soil of the first one depends on the weather before it."""
        rng = np.random.default_rng([self.seed, 1])
        soil = self.dry + 0.3 * self.wetness
        storms = smooth_noise(rng, self.grid.shape, 9)
        for index in range(-_SPIN_UP, count):
            date = start + dt.timedelta(index)
            storms = 0.55 * self._drift(storms) + 0.835 * smooth_noise(rng, self.grid.shape, 9)
            rain = self._rain(storms, date)
            soil = self._step(soil, rain, date)
            if index >= 0:
                temperature = self._temperature(date)
                yield WorldDay(
                    date,
                    np.where(self.grid.land, soil, np.nan).astype(np.float32),
                    self._observe(rng, soil, temperature, date),
                    rain.astype(np.float32),
                    temperature.astype(np.float32),
                )

    def _drift(self, field: Doubles) -> Doubles:
        columns = (np.arange(self.grid.shape[1])[None] - self._eastward[:, None]) % self.grid.shape[1]
        return np.asarray(np.take_along_axis(field, columns, 1))

    def _season(self, date: dt.date) -> float:
        """Return the season: 1 in the middle of the northern summer, -1 in the middle of the northern winter."""
        return float(np.cos(2 * np.pi * (date.timetuple().tm_yday - 200) / 365.25))

    def _rain(self, storms: Doubles, date: dt.date) -> Doubles:
        latitude = np.radians(self.grid.latitudes)[:, None]
        threshold = 1.5 - 1.5 * self.wetness - 0.25 * self._season(date) * np.sin(2 * latitude)
        return np.asarray(9 * (storms - threshold).clip(min=0) ** 1.4)

    def _step(self, soil: Doubles, rain: Doubles, date: dt.date) -> Doubles:
        latitude = np.radians(self.grid.latitudes)[:, None]
        pace = 1 + 0.4 * self._season(date) * np.sin(latitude)
        soil = self.dry + (soil - self.dry) * np.exp(-pace / self.drying_days)
        return np.asarray(soil + (self.porosity - soil) * (1 - np.exp(-rain / 22)))

    def _temperature(self, date: dt.date) -> Doubles:
        latitude = np.radians(self.grid.latitudes)[:, None]
        mean = 304 - 42 * np.sin(latitude) ** 2 + 16 * self._season(date) * np.sin(latitude)
        return np.asarray(mean - 6 * (self.wetness - 0.5))

    def _observe(self, rng: np.random.Generator, soil: Doubles, temperature: Doubles, date: dt.date) -> Floats:
        return self._retrieve(rng, soil, temperature, date, Instrument(self.retrieval_noise, self.shared_noise))

    def observe(self, day: WorldDay, instrument: Instrument, seed: int) -> WorldDay:
        """Return a day as another instrument saw it.

        Parameters
        ----------
        day : WorldDay
            A day of this world.
        instrument : Instrument
            The instrument.
        seed : int
            Seed of its errors.
        """
        rng = np.random.default_rng([self.seed, 2, seed, day.date.toordinal()])
        soil, temperature = day.truth.astype(np.float64), day.temperature.astype(np.float64)
        return replace(day, observed=self._retrieve(rng, soil, temperature, day.date, instrument))

    def _retrieve(
        self, rng: np.random.Generator, soil: Doubles, temperature: Doubles, date: dt.date, instrument: Instrument
    ) -> Floats:
        noise = rng.standard_normal(self.grid.shape)
        if instrument.shared_noise:
            noise *= np.sqrt(1 - instrument.shared_noise)
            noise += np.sqrt(instrument.shared_noise) * smooth_noise(rng, self.grid.shape, _SHARED_LENGTH)
        seen = swath(self.grid, date, instrument.orbits_per_day, instrument.swath_km, instrument.phase)
        is_observed = seen & self.grid.land & (temperature > 273.15) & ~self.forest
        reported = instrument.gain * soil + instrument.bias + instrument.noise * noise
        return np.where(is_observed, np.round(reported.clip(0.01, 0.99), 2), np.nan).astype(np.float32)


def swath(
    grid: Grid, date: dt.date, orbits_per_day: float = ORBITS_PER_DAY, width_km: float = 1450.0, phase: float = 0.0
) -> Bools:
    """Return the cells that the descending passes of a satellite like AMSR2 cover on a day, from its orbit's geometry.

    Parameters
    ----------
    grid : Grid
        The grid.
    date : dt.date
        The day.
    orbits_per_day : float
        Revolutions of the satellite in a day.
    width_km : float
        Width of the swath.
    phase : float
        By how much of an orbit it is ahead of AMSR2.
    """
    earth_per_orbit = 2 * np.pi / orbits_per_day
    half_swath = np.radians(width_km / 2 / _KM_PER_DEGREE)
    latitude = np.radians(grid.latitudes)
    ratio = (np.sin(latitude) / np.sin(_INCLINATION)).clip(-1, 1)
    angle = np.pi - np.arcsin(ratio)
    along = np.arctan2(np.cos(_INCLINATION) * np.sin(angle), np.cos(angle)) - earth_per_orbit * angle / (2 * np.pi)
    tilt = (np.cos(_INCLINATION) / np.cos(latitude)).clip(-0.999, 0.999)
    half_width = (half_swath / (np.cos(latitude) * np.sqrt(1 - tilt**2))).clip(max=np.pi)
    day = date.toordinal()
    orbits = np.arange(np.ceil(day * orbits_per_day), np.ceil((day + 1) * orbits_per_day)) + phase
    longitude = np.radians(grid.longitudes)
    covered = np.zeros(grid.shape, bool)
    for orbit in orbits:
        centre = along - orbit * earth_per_orbit
        distance = np.abs((longitude[None] - centre[:, None] + np.pi) % (2 * np.pi) - np.pi)
        covered |= distance < half_width[:, None]
    return covered
