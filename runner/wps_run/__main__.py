"""`python -m wps_run` is `wps-run`."""

from wps_run.cli.main import entry

if __name__ == "__main__":
    entry()
