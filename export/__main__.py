"""Run the command line: ``python -m export``."""

from export.cli import app

app()
