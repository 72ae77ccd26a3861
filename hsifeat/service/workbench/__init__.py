"""The labelling workbench: label a scene in the browser, and see the map and its score at once."""
