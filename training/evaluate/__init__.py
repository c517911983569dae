"""Evaluate exported bundles on hidden observations, time series, in-situ stations and seams, in one report."""
