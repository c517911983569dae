"""Draw the figures of "How it works" when the site is built, with the code they explain, on the synthetic world."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from runtime.bundle import Bundle, find_bundle, load_bundle
from runtime.common.grid import Floats, Grid
from runtime.demo.run import START
from runtime.demo.world import World, WorldDay
from runtime.engines.base import Engine, Staged
from runtime.engines.select import EngineSettings, open_engine
from runtime.fill.recurrent import fill_recurrent, land_tiles
from runtime.fill.state import State
from runtime.fill.window import fill_window
from runtime.output.colours import FILLED, NO_LAND, OBSERVED

REGION = (-10.0, 0.0, 40.0, 40.0)
DAYS = 16


def _open(name: str) -> tuple[Bundle, Engine | Staged]:
    bundle = load_bundle(find_bundle(name))
    return bundle, open_engine(bundle, EngineSettings(engine="cpu"))


def _world() -> tuple[Grid, list[WorldDay]]:
    grid = Grid.globe().box(*REGION)
    return grid, list(World(grid, 1).days(START, DAYS))


def _panel(axis: plt.Axes, field: Floats, title: str, high: float, colours: str) -> None:
    axis.set_facecolor(NO_LAND)
    axis.set_title(title, loc="left", fontsize=9)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.imshow(field, cmap=colours, vmin=0, vmax=high, interpolation="nearest")


def mask_update(grid: Grid, days: list[WorldDay]) -> Figure:
    """Draw the mask of day T before the network and after each of its stages."""
    bundle, engine = _open("sgdsm1-amsr2-x")
    assert isinstance(engine, Staged)
    middle = 8
    frames = np.stack([day.observed for day in days[middle - 4 : middle + 5]])
    frames[:4] = np.nan  # without them the mask can only grow from neighbours and from T+4
    frames[5:8] = np.nan
    valid = (~np.isnan(frames)).astype(np.float32).transpose(1, 2, 0)[None]
    values = np.nan_to_num(frames).transpose(1, 2, 0)[None, ..., None]
    land = grid.land.astype(np.float32)[None]
    figure, axes = plt.subplots(1, 4, figsize=(11, 2.6), layout="constrained")
    masks = [("observed on day T", valid[0, :, :, 4])]
    layers = 0
    for part, stage in zip(engine.stages, bundle.manifest.stages, strict=True):
        pad = ((0, 0), (stage.halo, stage.halo), (stage.halo, stage.halo))
        out = part.run(
            {
                "x": np.pad(values, (*pad, (0, 0), (0, 0))).astype(np.float32),
                "valid": np.pad(valid, (*pad, (0, 0))).astype(np.float32),
                "land": np.pad(land, pad),
            }
        )
        values, valid = out["x_out"], out["valid_out"]
        layers += stage.halo
        masks.append((f"after {layers} layers", valid[0, :, :, valid.shape[-1] // 2]))
    for axis, (title, mask) in zip(axes, masks, strict=True):
        shown = np.where(grid.land, mask, np.nan)
        share = float((mask > 0)[grid.land].mean())
        _panel(axis, shown, f"{title}: {share:.0%} of land", 1.4, "viridis_r")
    return figure


def recurrent_state(grid: Grid, days: list[WorldDay]) -> Figure:
    """Draw the error in gaps before and after observations end, with rain and without."""
    bundle, engine = _open("sgdsm2-amsr2-x")
    cold = State.cold(bundle.manifest, grid, len(land_tiles(bundle.manifest, grid)))
    nothing = np.full(grid.shape, np.nan, np.float32)
    first_blind = 9
    figure, axis = plt.subplots(figsize=(9, 3.2), layout="constrained")
    for label, colour, marker, with_rain in (
        ("state and rain", OBSERVED, "o", True),
        ("state, no rain", FILLED, "D", False),
    ):
        state, errors = cold, []
        for number, day in enumerate(days):
            observed = nothing if number >= first_blind else day.observed
            rain = day.rain if with_rain or number < first_blind else nothing
            filled, state = fill_recurrent(engine, bundle.manifest, grid, observed, rain, state)
            gaps = np.isfinite(filled.soil_moisture) & np.isnan(day.observed)
            error = filled.soil_moisture[gaps] - day.truth[gaps]
            errors.append(float(np.sqrt((error**2).mean())))
        axis.plot(range(DAYS), errors, marker=marker, color=colour, label=label, markersize=4)
    axis.axvline(first_blind - 0.5, color="#555555", linestyle=":")
    axis.text(first_blind - 0.4, axis.get_ylim()[1], " no observations from here on", va="top", fontsize=9)
    axis.set_xlabel("day")
    axis.set_ylabel("RMSE in gaps, m³ m⁻³")
    axis.legend(frameon=False, loc="upper left")
    return figure


def tiers(grid: Grid, days: list[WorldDay]) -> Figure:
    """Draw the error of a day that is filled with 0 to 4 of the days after it."""
    bundle, engine = _open("seamless-2")
    middle = 8
    window = bundle.manifest.window
    chosen = [days[middle + offset] if 0 <= middle + offset < len(days) else None for offset in window]
    nothing = np.full(grid.shape, np.nan, np.float32)
    frames = np.stack([day.observed if day else nothing for day in chosen])
    rain = np.stack([day.rain if day else nothing for day in chosen])
    truth = days[middle].truth
    today = window.index(0)
    gaps = grid.land & np.isnan(frames[today])
    figure, (timeline, error) = plt.subplots(1, 2, figsize=(10, 3), layout="constrained", width_ratios=[3, 2])
    errors = []
    for known in range(5):
        known_frames, known_rain = frames.copy(), rain.copy()
        known_frames[today + 1 + known :] = np.nan
        known_rain[today + 1 + known :] = np.nan
        filled = fill_window(engine, bundle.manifest, grid, known_frames, known_rain).soil_moisture
        compared = gaps & np.isfinite(filled)
        errors.append(float(np.sqrt(((filled - truth)[compared] ** 2).mean())))
        for offset in window:
            colour = "white" if offset > known else OBSERVED if offset == 0 else "#9ccbe6"
            corner = (offset - 0.45, known - 0.4)
            timeline.add_patch(plt.Rectangle(corner, 0.9, 0.8, facecolor=colour, edgecolor="#555555"))
    timeline.set_xlim(window[0] - 0.7, window[-1] + 0.7)
    timeline.set_ylim(4.6, -0.6)
    ticks = range(window[0], window[-1] + 1, 4)
    timeline.set_xticks(ticks, [f"T{n:+d}" if n else "T" for n in ticks])
    timeline.set_yticks(range(5), ["provisional", "provisional", "provisional", "provisional", "consolidated"])
    timeline.set_title("days that exist when day T is filled", loc="left", fontsize=10)
    error.plot(range(5), errors, "o-", color=FILLED)
    error.set_xlabel("number of days after T")
    error.set_xticks(range(5))
    error.set_ylabel("RMSE in gaps, m³ m⁻³")
    return figure


def draw_all(folder: Path) -> list[Path]:
    """Draw every figure into `folder`; return the files."""
    grid, days = _world()
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, figure in (
        ("mask-update", mask_update(grid, days)),
        ("recurrent-state", recurrent_state(grid, days)),
        ("tiers", tiers(grid, days)),
    ):
        written.append(folder / f"{name}.png")
        figure.savefig(written[-1], dpi=110)
        plt.close(figure)
    return written


if __name__ == "__main__":
    print(*draw_all(Path("build/figures")), sep="\n")
