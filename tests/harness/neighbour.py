"""What a curious person tries on a node where somebody else has a session: programs for any Python 3, run as them."""

from __future__ import annotations

#: Looks for the text on its standard input wherever this account can read, and says where it stands.
SCAN = """
import os, subprocess, sys
wanted, hits, read = sys.stdin.buffer.read(), [], 0
def look(path):
    global read
    try:
        with open(path, "rb") as file:
            data = file.read(4 << 20)
    except OSError:
        return
    read += 1
    if wanted in data:
        hits.append(path)
me = str(os.getpid())
for pid in os.listdir("/proc"):
    if pid.isdigit() and pid != me:
        for name in ("environ", "cmdline", "mem", "status", "maps"):
            look(f"/proc/{pid}/{name}")
        try:
            for fd in os.listdir(f"/proc/{pid}/fd"):
                target = os.readlink(f"/proc/{pid}/fd/{fd}")
                if target.startswith("/") and not target.startswith("/dev"):
                    look(f"/proc/{pid}/fd/{fd}")
        except OSError:
            pass
for top in ("/home", "/tmp", "/var/spool", "/var/log", "/var/lib", "/run", "/dev/shm"):
    for folder, folders, files in os.walk(top):
        folders[:] = [name for name in folders if name not in ("site-packages",)]
        for name in files:
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                look(path)
for argv in (["scontrol", "show", "job", "-dd"], ["squeue", "-o", "%all"], ["ps", "auxeww"],
             ["qstat", "-f", "-u", "*"], ["qstat", "-j", "*"]):
    try:
        if wanted in subprocess.run(argv, capture_output=True, timeout=20).stdout:
            hits.append(" ".join(argv))
    except OSError:
        pass
print(read, *hits)
"""
#: Tries to reach the agent's port and its way to the hub.
KNOCK = """
import socket, subprocess, sys
host, port, api, path = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
with socket.create_connection((host, port), 5) as sock:
    print("agent", sock.recv(64)[:8].decode())
with socket.create_connection(("127.0.0.1", api), 5) as sock:
    try:
        sock.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
        print("hub", sock.recv(64) or b"closed")
    except OSError as error:
        print("hub", type(error).__name__)
try:
    socket.socket(socket.AF_UNIX).connect(path)
    print("socket open")
except OSError as error:
    print("socket", type(error).__name__)
"""
#: The ports below 30000 (those of agents) on which the node listens.
LISTENING = """
for table in ("/proc/net/tcp",):
    for line in open(table).read().splitlines()[1:]:
        fields = line.split()
        port = int(fields[1].rpartition(":")[2], 16)
        if fields[3] == "0A" and 20000 <= port < 30000:
            print(port)
"""
