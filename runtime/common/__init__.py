"""What every part of the runtime uses: grid, hashes, safe writing, NetCDF access, the vocabulary, events."""
