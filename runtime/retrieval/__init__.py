"""Soil moisture at a place and time from images: read examples, stack their fields, run the network, write a table."""
