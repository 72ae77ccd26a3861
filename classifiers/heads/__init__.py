"""Heads: light classifiers on cached features.

Each head is a scikit-learn estimator in a separate module; `classifiers.heads.registry` finds heads by name.
"""
