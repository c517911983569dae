"""What a machine with a GPU must show, in one command that ends in nine minutes; see `benchmarks.gpu.run`."""
