"""Read cached features at pixels, in windows or as lazy arrays, and export them to files; torch is not needed."""
