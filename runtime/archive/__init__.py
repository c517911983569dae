"""What is published: daily files, catalog, cube and STAC documents, and how they are written and read."""
