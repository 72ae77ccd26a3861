"""Interactive labelling of a scene: labels in a database, quick maps, superpixels, honest scores, and suggestions.

The package draws no page. `hsifeat.service` shows it in a browser.
"""
