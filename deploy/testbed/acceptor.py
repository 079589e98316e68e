"""The way to a centre's login node: a loopback port of this machine, each connection handed to an sshd in the node.

There is no route to the login node: this process accepts on 127.0.0.1 and starts `sshd -i` inside the node's
namespaces with the connection as its standard input and output. It runs as `python acceptor.py PORT PID_FILE MODE_FILE
LOG`, standard library only. The mode ("ok", "refuse", "hang") is read from a file again on SIGHUP.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
from pathlib import Path

_NSENTER = ["--mount", "--net", "--uts", "--ipc", "--pid", "--", "/usr/sbin/sshd", "-i"]


class Acceptor:
    """Accepts connections, or does not, as the mode says."""

    def __init__(self, port: int, pid_file: Path, mode_file: Path, log: Path) -> None:
        self.port = port
        self.pid_file = pid_file
        self.mode_file = mode_file
        self.log = log
        self.mode = ""
        self.listener: socket.socket | None = None
        self.hanging: list[socket.socket] = []
        self.children: list[subprocess.Popen[bytes]] = []
        self.selector = selectors.DefaultSelector()

    def set_mode(self) -> None:
        """Do what the mode file says now."""
        try:
            self.mode = self.mode_file.read_text().strip()
        except FileNotFoundError:
            self.mode = "ok"
        if self.mode != "hang":
            for connection in self.hanging:
                connection.close()
            self.hanging.clear()
        if self.mode == "refuse" and self.listener:
            self.selector.unregister(self.listener)
            self.listener.close()
            self.listener = None
        elif self.mode != "refuse" and self.listener is None:
            self.listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
            self.selector.register(self.listener, selectors.EVENT_READ)

    def node(self) -> int | None:
        """The process that holds the login node, if it is still the one on record."""
        try:
            record = self.pid_file.read_text()
            pid = record.split()[0]
            now = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, IndexError):
            return None
        same = record.rpartition(")")[2].split()[19] == now.rpartition(")")[2].split()[19]
        return int(pid) if same else None

    def serve(self, connection: socket.socket) -> None:
        """One connection."""
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.mode == "hang":
            self.hanging.append(connection)
            return
        with connection:
            if (pid := self.node()) is None:
                return
            with self.log.open("ab") as log:
                fd = connection.fileno()
                argv = ["/usr/bin/nsenter", f"--target={pid}", *_NSENTER]
                self.children.append(subprocess.Popen(argv, stdin=fd, stdout=fd, stderr=log))

    def run(self) -> None:
        """Serve until killed."""
        wake, woken = socket.socketpair()
        woken.setblocking(False)
        wake.setblocking(False)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        self.selector.register(woken, selectors.EVENT_READ)
        self.set_mode()
        while True:
            for key, _ in self.selector.select():
                if key.fileobj is woken:
                    with contextlib.suppress(BlockingIOError):
                        if signal.SIGHUP in woken.recv(4096):
                            self.set_mode()
                elif self.listener and key.fileobj is self.listener:
                    with contextlib.suppress(ConnectionAbortedError):
                        self.serve(self.listener.accept()[0])
            self.children = [child for child in self.children if child.poll() is None]


def main() -> None:
    """Serve as the command line says."""
    port, pid_file, mode_file, log = sys.argv[1:]
    os.environ.clear()
    os.environ.update({"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"})
    Acceptor(int(port), Path(pid_file), Path(mode_file), Path(log)).run()


if __name__ == "__main__":
    main()
