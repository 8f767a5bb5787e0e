"""Orientation's part of the `relais` command line."""
