"""The cache: recipes and their keys, stores of planes, progress, and the catalogue of stores on this machine."""
