"""Context features without a network: window means, deviations and morphological profiles of principal components."""
