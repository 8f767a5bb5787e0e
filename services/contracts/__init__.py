"""The wire format: codes, events, and who listens to what. Nothing here does anything."""
