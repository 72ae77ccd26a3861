"""Defaults of `classifiers.fit_model` and ``hsifeat fit`` that the study in ``docs/user/results.md`` supports."""

DEFAULT_HEAD = "lda"

# With few labels, this rule raised the accuracy on scenes with large fields, and hardly lowered it on all other scenes.
DEFAULT_SMOOTHING = "guided:4,0.001"
