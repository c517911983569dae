"""Filling many days at once: workers compute days into a staging folder, one publisher takes them in date order."""
