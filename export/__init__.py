"""From a PyTorch checkpoint to a model bundle the runtime can run."""
