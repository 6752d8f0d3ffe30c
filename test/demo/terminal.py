"""Runs the command that it is given on a terminal of its own, 40 lines of 120 columns: keys from stdin, the screen to stdout."""

import fcntl
import os
import pty
import select
import struct
import sys
import termios

pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
sources = [terminal, 0]
while True:
    ready, _, _ = select.select(sources, [], [])
    if 0 in ready:
        keys = os.read(0, 100)
        if keys:
            os.write(terminal, keys)
        else:
            sources.remove(0)
    if terminal in ready:
        try:
            screen = os.read(terminal, 65536)
        except OSError:  # Linux says so when the last process has left the terminal.
            break
        os.write(1, screen)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
