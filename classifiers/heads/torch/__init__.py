"""Shared parts of heads that train a network: the estimator base, the training loop and the losses."""
