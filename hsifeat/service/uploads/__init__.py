"""Uploads: files that clients send in resumable parts, checked before they are read."""
