"""What can be asked of the service: the action table and what is derived from a row. Pure."""
