"""Records of days on disk, and samples drawn from them."""

from training.samples.draw import Batch, Choices, Geometry, Samples, Source, collate
from training.samples.record import Record

__all__ = ["Batch", "Choices", "Geometry", "Record", "Samples", "Source", "collate"]
