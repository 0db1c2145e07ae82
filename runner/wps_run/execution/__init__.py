"""Run steps and produce a result for each."""
