"""Starts commands by forking a process that has imported the package.

A command is a process of its own, with its own arguments, folder, environment and streams, and ends
as any process does. Only its imports are made once: they take most of the time of a short command.
"""

import gc
import json
import os
import pkgutil
import socket
import sys
from importlib import import_module

import wps_run
from wps_run.cli.main import entry


def serve(requests: socket.socket) -> None:
    """Start a command for each request; reply with its process, then with how it ended.

    Return in the new processes only.

    A request has the arguments, the folder and the environment, and three open files that become
    stdin, stdout and stderr.
    """
    while True:
        message, files, _, _ = socket.recv_fds(requests, 1 << 20, 3)
        if not message:
            raise SystemExit
        child = os.fork()
        if not child:
            requests.close()
            for stream, file in enumerate(files):
                os.dup2(file, stream)
                os.close(file)
            sys.argv, folder, environment = json.loads(message)
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(environment)
            return
        for file in files:
            os.close(file)
        requests.send(str(child).encode())
        _, status = os.waitpid(child, 0)
        requests.send(str(os.waitstatus_to_exitcode(status)).encode())


if __name__ == "__main__":
    for module in pkgutil.walk_packages(wps_run.__path__, "wps_run."):
        if module.name not in {"wps_run.__main__", "wps_run.pytest_plugin"}:
            import_module(module.name)
    gc.freeze()  # a process that ends need not look at what it never used
    serve(socket.socket(fileno=int(sys.argv[1])))
    sys.exit(entry())
