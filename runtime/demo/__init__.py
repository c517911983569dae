"""A synthetic world with weather, soil and a satellite, for the demo, the tests and a first training."""
