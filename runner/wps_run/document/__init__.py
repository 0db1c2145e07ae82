"""Parse YAML 1.2 or JSON text into data with a position for every node. Knows no playbook."""
