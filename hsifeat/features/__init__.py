"""Reading cached features: at pixels, in windows, as lazy arrays, and exported to files. Needs no torch."""
