"""The figures: pure functions of saved results, one file a kind."""
