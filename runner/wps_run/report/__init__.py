"""Turn results into text. No I/O: the caller writes what a report returns."""
