"""A referral's life and its clocks, as plain functions."""
