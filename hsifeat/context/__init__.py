"""Context features of principal components, without a network: means, standard deviations, morphological profiles."""
