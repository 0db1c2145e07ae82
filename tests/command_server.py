"""Starts commands by forking a process that has imported the package.

A command is a process of its own, with its own arguments, folder, environment and streams, and ends
as any process does. Only its imports are made once: they take most of the time of a short command.
"""

import gc
import io
import json
import os
import pkgutil
import select
import socket
import sys
from importlib import import_module

import wps_run
from wps_run.cli.main import entry


def serve(requests: socket.socket) -> None:
    """Start a command for each request; reply with its process, then with how it ended.

    Return in the new processes only.

    A request has the arguments, the folder, the environment, and Python code to run before the
    command; and four open files: three that become stdin, stdout and stderr, and a socket for the
    replies.
    """
    commands: dict[int, tuple[int, socket.socket]] = {}  # by a descriptor of its process
    while True:
        ready, _, _ = select.select([requests.fileno(), *commands], [], [])
        for descriptor in ready:
            if descriptor != requests.fileno():
                os.close(descriptor)
                report_end(*commands.pop(descriptor))
                continue
            message, files, _, _ = socket.recv_fds(requests, 1 << 20, 4)
            if not message:
                raise SystemExit
            child = os.fork()
            if not child:
                for other, (_, replies) in commands.items():
                    os.close(other)
                    replies.close()
                requests.close()
                become_command(message, files)
                return
            for file in files[:3]:
                os.close(file)
            replies = socket.socket(fileno=files[3])
            replies.send(str(child).encode())
            commands[os.pidfd_open(child)] = child, replies


def become_command(message: bytes, files: list[int]) -> None:
    """Take over the files, arguments, folder and environment of a request, and run its code."""
    for number, file in enumerate(files[:3]):
        os.dup2(file, number)
    for file in files:
        os.close(file)
    assert isinstance(sys.stdout, io.TextIOWrapper)
    sys.stdout.reconfigure(line_buffering=os.isatty(1))
    sys.argv, folder, environment, code = json.loads(message)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    exec(code, {})  # noqa: S102 -- the test's own


def report_end(child: int, replies: socket.socket) -> None:
    """Reply with the exit code of a process that has ended."""
    _, status = os.waitpid(child, 0)
    with replies:
        replies.send(str(os.waitstatus_to_exitcode(status)).encode())


if __name__ == "__main__":
    for module in pkgutil.walk_packages(wps_run.__path__, "wps_run."):
        if module.name not in {"wps_run.__main__", "wps_run.pytest_plugin"}:
            import_module(module.name)
    gc.freeze()  # a process that ends need not look at what it never used
    serve(socket.socket(fileno=int(sys.argv[1])))
    sys.exit(entry())
