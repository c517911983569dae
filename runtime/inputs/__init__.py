"""Input files: listed by feeds, fetched, read once, judged, and offered as one field a day."""
