"""Training archives: days on disk as arrays, and the samples drawn from them."""

from training.samples.archive import TrainingArchive
from training.samples.draw import Batch, Choices, Geometry, Samples, SampleSource, collate

__all__ = ["Batch", "Choices", "Geometry", "SampleSource", "Samples", "TrainingArchive", "collate"]
