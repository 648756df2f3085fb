"""Stops the main thread of a process and no other, until the process is gone: `python3 freeze_thread.py PID`, as root."""

import ctypes
import os
import sys

PTRACE_ATTACH = 16
WALL = 0x40000000  # __WALL: threads too

pid = int(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
if libc.ptrace(PTRACE_ATTACH, pid, None, None) != 0:
    sys.exit(os.strerror(ctypes.get_errno()))
os.waitpid(pid, WALL)  # until it stands still
sys.stdout.write("frozen\n")
sys.stdout.flush()
while True:
    _, status = os.waitpid(pid, WALL)
    if os.WIFEXITED(status) or os.WIFSIGNALED(status):
        break
