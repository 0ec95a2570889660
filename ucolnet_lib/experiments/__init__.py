"""Whole experiments, each a readable script over the rooms above."""
