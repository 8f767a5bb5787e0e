"""Counting and telling, without any I/O."""
