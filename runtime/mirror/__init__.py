"""The mirror: a copy of the published archive in an object store, kept current."""
