"""Extraction: from a scene and a backbone to stored planes; options, preparation, plan, tiles, noise, and the run itself."""
