"""Plays systemd's watchdog for one service: counts the beats it is sent, stops the service for a while as a
whole, and looks whether beats go on.   watchdog.py COMMAND..."""
import os
import signal
import socket
import sys
import tempfile
import time

folder = tempfile.TemporaryDirectory()
notes = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
address = os.path.join(folder.name, "notify")
notes.bind(address)
notes.settimeout(10)

pid = os.fork()
if pid == 0:
    os.dup2(2, 1)  # stdout is the manager's
    os.environ.update(NOTIFY_SOCKET=address, WATCHDOG_USEC="400000", WATCHDOG_PID=str(os.getpid()))
    os.execv(sys.argv[1], sys.argv[1:])


def note():
    return notes.recv(4096).decode()


while (said := note()) == "WATCHDOG=1":
    pass
print(said)
began = time.monotonic()
beats = [note() for _ in range(4)]
took = time.monotonic() - began
print(*sorted(set(beats)), "often enough" if took < 4 * 0.4 else "in %.2f s" % took)
os.kill(pid, signal.SIGSTOP)
time.sleep(1)
os.kill(pid, signal.SIGCONT)
print(note())
os.kill(pid, signal.SIGTERM)
said = note()
while said == "WATCHDOG=1":
    said = note()
print(said)
print(note().replace("\n", " "))
print("left with", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
