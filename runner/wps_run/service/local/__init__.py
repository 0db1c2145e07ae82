"""The paths below `/_local/`: what the service was asked, who is there, and faults on demand."""
