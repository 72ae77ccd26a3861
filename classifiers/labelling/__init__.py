"""Interactive labelling of a scene: labels in a database, quick maps, superpixels, scores and suggestions.

The package has no user interface. The workbench of `hsifeat.service` uses the package in a browser.
"""
