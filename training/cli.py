"""``python -m training ...``: parse, call, print."""

from __future__ import annotations

import datetime as dt
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import wraps
from pathlib import Path
from typing import Annotated, ParamSpec

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from runtime.common.grid import Grid
from runtime.errors import SeamlessError
from training.checkpoint import load_checkpoint
from training.fit import TrainingEvents
from training.recipe import Data
from training.samples.archive import META

P = ParamSpec("P")
app = typer.Typer(
    name="training",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Make training days, train a network, or draw one with random weights.",
)


def _guarded(function: Callable[P, None]) -> Callable[P, None]:
    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except (SeamlessError, ValueError) as error:
            print(f"error: {error}", file=sys.stderr)
            raise typer.Exit(2) from None

    return run


@app.command(epilog="Example: python -m training world --out runs/world --days 60 --seed 100")
@_guarded
def world(
    out: Annotated[Path, typer.Option(help="Folder to write LPRM and IMERG files to.")],
    days: Annotated[int, typer.Option(min=1, help="Days to make.")] = 60,
    seed: Annotated[int, typer.Option(help="Which of all worlds.")] = 100,
    start: Annotated[str, typer.Option(help="First day.")] = "2020-03-01",
) -> None:
    """Write days of the synthetic world, on the globe, as training input."""
    from rich.progress import track

    from runtime.demo.files import write_imerg, write_lprm
    from runtime.demo.world import World

    grid = Grid.globe()
    for day in track(World(grid, seed).days(dt.date.fromisoformat(start), days), total=days, description="days"):
        write_lprm(out / "lprm", day, grid)
        write_imerg(out / "imerg", day.date, day.rain, grid)
    print(f"wrote {days} days to {out}")


@app.command(epilog="Example: python -m training random --preset stpcnn-paper --out runs/paper.safetensors")
@_guarded
def random(
    preset: Annotated[str, typer.Option(help="Packaged preset or TOML file.")],
    out: Annotated[Path, typer.Option(help="Checkpoint to write.")],
    seed: Annotated[int, typer.Option(help="Seed of the weights.")] = 0,
) -> None:
    """Write a checkpoint with random weights, to measure speed with."""
    import torch

    from training.checkpoint import Checkpoint, save_checkpoint
    from training.models import build_network
    from training.presets import load_preset

    torch.manual_seed(seed)
    chosen = load_preset(preset)
    save_checkpoint(out, Checkpoint(build_network(chosen.model), chosen))
    print(f"wrote {out}")


@app.command(epilog="Example: python -m training record --granules lprm/ --rain imerg/ --band x --out records/amsr2-x")
@_guarded
def record(
    granules: Annotated[Path, typer.Option(help="Folder of LPRM files, searched with its subfolders.")],
    out: Annotated[Path, typer.Option(help="Folder to write the record to.")],
    rain: Annotated[Path | None, typer.Option(help="Folder of IMERG files.  [default: --granules]")] = None,
    product: Annotated[str, typer.Option(help="lprm-amsr2, lprm-amsre or lprm-windsat.")] = "lprm-amsr2",
    orbit: Annotated[str, typer.Option(help="descending or ascending.")] = "descending",
    band: Annotated[str, typer.Option(help="c, c1, c2 or x.")] = "x",
    box: Annotated[str | None, typer.Option(help="west,south,east,north in degrees.  [default: the globe]")] = None,
) -> None:
    """Pack years of granules into memory-mapped arrays that training streams from disk."""
    from training.samples import TrainingArchive

    grid = Grid.globe()
    if box:
        west, south, east, north = (float(edge) for edge in box.split(","))
        grid = grid.box(west, south, east, north)
    with _days_bar() as bar:
        made = TrainingArchive.of_granules(
            out, granules, grid, rain=rain, product=product, orbit=orbit, band=band, progress=bar
        )
    print(f"wrote {out}: {made.source}{', with rain' if made.has_rain else ''}")


@app.command(
    epilog="Examples: python -m training fit --config seamless-amsr2-x --data-root ../shared/data --out runs/mine · "
    "torchrun --nproc-per-node 2 -m training fit --config mine.toml --out runs/mine"
)
@_guarded
def fit(
    config: Annotated[str, typer.Option(help="Packaged recipe, or TOML file.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; a killed run in it goes on.")],
    data_root: Annotated[
        Path, typer.Option(envvar="SEAMLESS_SM_DATA", help="Folder that the recipe's data paths are relative to.")
    ] = Path(),
    override: Annotated[
        list[str] | None, typer.Option("--set", help="section.key=value, repeatable; wins over the recipe.")
    ] = None,
    start: Annotated[Path | None, typer.Option(help="Checkpoint to start from instead of fresh weights.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that draw samples; 0 draws in this one.")] = 0,
    records: Annotated[Path, typer.Option(help="Folder that records made of granules are kept in.")] = Path(
        "runs/records"
    ),
    dry_run: Annotated[bool, typer.Option(help="Open the data and say what would be done.")] = False,
) -> None:
    """Train a network as a recipe says; the result is `last.safetensors` in the run's folder."""
    from training.fit import LAST, TrainingRun
    from training.recipe import load_recipe

    chosen = load_recipe(config, override or (), data_root)
    if not chosen.data:
        raise ValueError(f"{config} names no data; add [[data]], or --set 'data.0.granules=FOLDER'")
    first = os.environ.get("RANK", "0") == "0"
    if not first:  # the first process makes the records, the others find them made
        while not all(_is_there(source, records) for source in chosen.data):
            time.sleep(0.5)
    with _days_bar() as bar:
        opened = [source.open(records, Grid.globe(), bar) for source in chosen.data]
    listener = _Bars() if first else None
    run = TrainingRun(out, chosen, opened, workers=workers, listener=listener)
    if first:
        for source in opened:
            print(f"data: {source.source}")
        print(
            f"{len(run.samples)} places, {run.epoch} steps an epoch, {run.steps} steps in all, "
            f"{run.fabric.world_size} process(es) on {run.fabric.device.type}"
        )
    if dry_run:
        return
    with listener or nullcontext():
        run.fit(load_checkpoint(start) if start else None)
    if first:
        print(f"wrote {out / LAST}")


@app.command(
    epilog="Example: python -m training evaluate --bundle seamless-amsr2-x --data lprm_april2015_x/ "
    "--consolidated 2015-04-13:2015-04-16 --provisional 2015-04-17:2015-04-20 --ismn ismn.zip --out report"
)
@_guarded
def evaluate(
    bundle: Annotated[list[str], typer.Option(help="Shipped bundle or folder of one, repeatable.")],
    data: Annotated[Path, typer.Option(help="Folder of LPRM files.")],
    out: Annotated[Path, typer.Option(help="Folder to write the report to.")],
    consolidated: Annotated[str, typer.Option(help="Days to judge with their future, FIRST:LAST.")] = "",
    provisional: Annotated[str, typer.Option(help="Days to judge without it, FIRST:LAST.")] = "",
    rain: Annotated[Path | None, typer.Option(help="Folder of IMERG files.  [default: --data]")] = None,
    product: Annotated[str, typer.Option(help="lprm-amsr2, lprm-amsre or lprm-windsat.")] = "lprm-amsr2",
    orbit: Annotated[str, typer.Option(help="descending or ascending.")] = "descending",
    band: Annotated[str, typer.Option(help="c, c1, c2 or x.")] = "x",
    ismn: Annotated[list[Path] | None, typer.Option(help="ISMN zip, folder or file, repeatable.")] = None,
    series: Annotated[str, typer.Option(help="Days of the time series and stations, FIRST:LAST.")] = "",
    dct_pls: Annotated[
        bool, typer.Option(help="Also judge DCT-PLS, plain and robust: minutes per day and tier.")
    ] = True,
    engine: Annotated[str, typer.Option(help="auto, cpu, openvino, cuda or tensorrt.")] = "auto",
    seed: Annotated[int, typer.Option(help="Which gaps.")] = 0,
) -> None:
    """Judge exported bundles on hidden observations, time series, in-situ stations and seams; write one report."""
    from training.evaluate.run import Settings, evaluate_bundles

    settings = Settings(
        bundles=tuple(bundle),
        granules=data,
        rain=rain or data,
        product=product,
        orbit=orbit,
        band=band,
        tiers={"consolidated": parse_days(consolidated), "provisional": parse_days(provisional)},
        series=parse_days(series),
        ismn=tuple(ismn or ()),
        dct_pls=dct_pls,
        engine=engine,  # type: ignore[arg-type]
        seed=seed,
    )
    evaluate_bundles(settings, out, say=lambda line: print(line, flush=True))
    print(f"wrote {out / 'report.md'}")


def parse_days(text: str) -> list[dt.date]:
    """Read FIRST:LAST, or one day, or nothing."""
    if not text:
        return []
    try:
        first, _, last = text.partition(":")
        start, end = dt.date.fromisoformat(first), dt.date.fromisoformat(last or first)
    except ValueError:
        raise ValueError(f"{text!r} is no range of days; give FIRST:LAST, like 2015-04-13:2015-04-16") from None
    return [start + dt.timedelta(number) for number in range((end - start).days + 1)]


def _is_there(source: Data, records: Path) -> bool:
    return (source.folder(records, Grid.globe()) / META).exists()


@contextmanager
def _days_bar() -> Iterator[Callable[[int, int], None]]:
    """Show days being read, from the first one on."""
    with Progress(TextColumn("days"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), transient=True) as bars:
        task: list[TaskID] = []

        def show(done: int, of: int) -> None:
            if not task:
                task.append(bars.add_task("days", total=of))
            bars.update(task[0], completed=done, total=of)

        yield show


class _Bars(TrainingEvents):
    """A bar with the smoothed loss and the time left; without a terminal, a line now and then."""

    def __init__(self) -> None:
        self._bars = Progress(
            TextColumn("loss {task.fields[loss]:.4f}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
        )
        self._loss = float("nan")

    def __enter__(self) -> _Bars:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def on_start(self, step: int, steps: int) -> None:
        """Show where training starts."""
        if step:
            self._bars.console.print(f"going on from step {step}")
        self._steps = steps
        self._task = self._bars.add_task("fit", total=steps, completed=step, loss=float("nan"))

    def on_step(self, step: int, loss: float) -> None:
        """Show the loss."""
        self._loss = loss if math.isnan(self._loss) else 0.98 * self._loss + 0.02 * loss
        self._bars.update(self._task, completed=step, loss=self._loss)
        if step % 100 == 0 and not self._bars.console.is_terminal:
            print(f"step {step} of {self._steps}: loss {self._loss:.4f}", flush=True)

    def on_validation(self, step: int, loss: float, best: bool) -> None:
        """Show the loss on the validation days."""
        self._bars.console.print(f"step {step}: validation {loss:.4f}{', the best so far' if best else ''}")


def main() -> None:
    """Run the command line."""
    app()
