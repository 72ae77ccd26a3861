"""What the heads that train a network share: the estimator, the training loop and the losses."""
