"""The paths below `/_local/`: request log, state and faults."""
