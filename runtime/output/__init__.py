"""What people get out of an archive: time series, subsets in other formats, maps."""
