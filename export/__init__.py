"""Export a PyTorch checkpoint as a model bundle that the runtime can run."""
