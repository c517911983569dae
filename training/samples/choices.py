"""What samples are: their size, how their places are chosen, and what is hidden in them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from training.samples.archive import TrainingArchive


@dataclass(frozen=True)
class Geometry:
    """The size of a sample."""

    patch: int
    """Cells with labels, along each axis."""
    context: int
    """Cells around them, on every side."""
    days: int
    """Days per sample."""
    label: int | None
    """Index of the one day to fill; None if every day of the sequence is filled."""

    @property
    def size(self) -> int:
        """The number of cells along each axis, context included."""
        return self.patch + 2 * self.context

    @property
    def middle(self) -> int:
        """Index of the one day to fill; of the middle day, if every day of the sequence is filled."""
        return self.days // 2 if self.label is None else self.label


Fraction = Annotated[float, Field(ge=0, le=1)]


class Choices(BaseModel):
    """How samples are chosen, and what is hidden in them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_observed: Fraction = 0.3
    """Smallest share of the patch that is observed land on the middle day; together with `complete_days`, the smallest
    share of the patch that is land."""
    complete_days: Literal["none", "middle", "all"] = "none"
    """Days on which all land of the patch must be observed: the day to fill, which is the middle one of a sequence, as
    published in SGD-SM 1.0, or all days of the sample, as published in SGD-SM 2.0."""
    real_masks: Fraction = 0.5
    """Share of samples in which real gaps are hidden: masks of the pool, gaps of a near day, or gaps of any day in the
    same place. In the others strips like those between swaths are hidden; also where a near day has next to no gaps,
    or those of any day are not 30-70 % of the patch."""
    mask_pool: int = Field(default=0, ge=0)
    """Number of masks in the pool of each source, as published: the gaps of any place and day, 30-70 % of the patch;
    0 is no pool."""
    mask_days: int = Field(default=0, ge=0)
    """Largest distance in days of a near day, most often the next; 0, without a pool, takes any day."""
    foreign_masks: Fraction = 0.0
    """Share of samples in which the gaps of any day at any place of the globe are hidden."""
    strip_period: tuple[float, float] | None = None
    """Smallest and largest distance from strip to strip, cells; unset: 0.4 to 1.4 times the patch."""
    flipped: Fraction = 0.5
    """Share of samples that are mirrored east to west; as many are mirrored north to south. As published, none is."""
    simulated: Fraction = 0.0
    """Share of samples with simulated values (`training.samples.simulate`) in place of the real ones."""
    simulated_first: int = Field(default=0, ge=0)
    """Number of samples at the beginning of the sequence that are all simulated."""
    real_last: int = Field(default=0, ge=0)
    """Number of the sample after which none is simulated; 0 is never."""
    backwards: Fraction = 0.0
    """Share of samples of an archive without rain in which the days run backwards, window kind only. Noise knows no
    direction of time, so this doubles the windows with a long past."""
    rescaled: Fraction = 0.0
    """Share of samples whose soil moisture is multiplied by a factor of 0.6 to 1: no value can be known by heart."""
    drop_future: Fraction = 0.0
    """Share of samples without some or all of the days after T, as in a fill on the day itself."""
    drop_days: Fraction = 0.0
    """Share of samples in which one day other than T is absent."""
    drop_rain: Fraction = 0.0
    """Share of samples without rain data."""
    soil: bool = False
    """Whether labels stand for the soil instead of that day's retrieval, window kind only: the truth in all gaps where
    the archive knows it, else retrievals of a day that is hidden as a whole, so that nothing tells their errors."""
    storms: Fraction = 0.0
    """Share of samples of an archive without rain that get the rain of another archive and the wetness that this rain
    brings. If only synthetic soil has rain, a network without such samples takes rain as a sign of synthetic soil."""

    @model_validator(mode="after")
    def _has_one_kind_of_real_masks(self) -> Choices:
        if self.mask_pool and self.mask_days:
            raise ValueError("give mask_pool or mask_days, one of them; 0 switches one off")
        return self


@dataclass(frozen=True)
class SampleSource:
    """A training archive, the days of it that are read, and how often samples are drawn from it."""

    archive: TrainingArchive
    first: dt.date | None = None
    """First day that is a label, an input or a mask; the archive's first if None."""
    last: dt.date | None = None
    """Last such day; the archive's last if None."""
    weight: float = 1.0
    """How often samples are drawn from this source, relative to the others."""

    @property
    def days(self) -> range:
        """The positions of the days that may be read: no other one is input, label or mask."""
        archive = self.archive
        first = 0 if self.first is None else max(archive.index(self.first), 0)
        last = len(archive) - 1 if self.last is None else min(archive.index(self.last), len(archive) - 1)
        return range(first, last + 1)
