"""Training archives: days on disk as arrays, and the samples drawn from them."""

from training.samples.archive import TrainingArchive
from training.samples.choices import Choices, Geometry, SampleSource
from training.samples.draw import Batch, Samples, collate

__all__ = ["Batch", "Choices", "Geometry", "SampleSource", "Samples", "TrainingArchive", "collate"]
