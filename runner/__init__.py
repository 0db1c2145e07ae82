"""wps-run: run batches of Azure Web PubSub actions, written as YAML playbooks."""
