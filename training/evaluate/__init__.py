"""How well exported bundles fill: hidden observations, time series, in-situ stations and seams, in one report."""
