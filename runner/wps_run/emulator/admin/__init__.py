"""The admin API below `/_local/`: request log, state, seed, reset and faults."""
