"""Plays systemd for one service: hands it a listening socket as descriptor 3, prints what it is
told, asks /healthz, and ends the service with TERM.   manager.py COMMAND..."""
import os
import signal
import socket
import sys
import tempfile

folder = tempfile.TemporaryDirectory()
notes = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
address = os.path.join(folder.name, "notify")
notes.bind(address)
notes.settimeout(10)
listener = socket.create_server(("127.0.0.1", 0))

pid = os.fork()
if pid == 0:
    os.dup2(listener.fileno(), 3)
    os.dup2(2, 1)  # stdout is the manager's
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", NOTIFY_SOCKET=address)
    os.execv(sys.argv[1], sys.argv[1:])


def note():
    print(notes.recv(4096).decode(), flush=True)


note()
with socket.create_connection(listener.getsockname()) as client:
    client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    print(client.recv(4096).decode().splitlines()[0])
os.kill(pid, signal.SIGHUP)
print(notes.recv(4096).decode().splitlines()[0])  # the next line is a time
note()
os.kill(pid, signal.SIGTERM)
note()
print("left with", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
