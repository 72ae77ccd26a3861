"""Interactive labelling of a scene: labels in a database, quick maps, superpixels, honest scores, and suggestions.

The package has no user interface. `hsifeat.service` shows it in a browser.
"""
