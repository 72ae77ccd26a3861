"""Light classifiers on cached features: scikit-learn estimators, one file a head, found by entry point."""
