"""Uploads: files that clients send in parts. Their contents are checked before any reader opens them."""
