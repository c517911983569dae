"""Train the networks: models, samples, losses, fitting and evaluation, in PyTorch."""
