"""How to reach the service and convince it who is asking."""
