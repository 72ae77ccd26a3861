"""The page of a comparison by subject: what it says and shows (Python), and how that looks (templates, style, script)."""
