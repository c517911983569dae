"""PyTorch models, samples, losses and fitting."""
