"""Runs a day: reads the inputs, fills the gaps with an exported network, publishes to the archive."""

__version__ = "0.1.0"
