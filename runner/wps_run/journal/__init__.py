"""Record a run, read it back and resume it."""
