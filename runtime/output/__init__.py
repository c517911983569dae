"""Write time series, subsets in other formats, and maps from an archive."""
