"""Shared parts of heads that train a torch network: the base class, the training loop and the losses."""
