"""Context features: window means, deviations and morphological profiles of principal components. No network is used."""
