"""`python -m runner` is `wps-run`."""

from runner.cli.main import entry

if __name__ == "__main__":
    entry()
