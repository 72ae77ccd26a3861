"""Heads: light classifiers on cached features. Each is a scikit-learn estimator in a file of its own, found by name."""
