"""Extraction: turns a scene and a backbone into planes. Plan, tiles, noise field, runner."""
