"""Runs one program to its end and prints what it took, as JSON.

``python -I -S launch.py STDERR PROGRAM ARGUMENT…``: what the program prints on stderr goes to the file STDERR, what
it prints on stdout nowhere. This is a process of its own because Linux counts the peak memory of the process that
starts a program as that of the program (the field ``ru_maxrss`` survives execve): the bench may be large, this file
is not. For the same reason no figure is below its own 10 MB.
"""

import os
import sys
import time


def main() -> None:
    stderr, *command = sys.argv[1:]
    redirections = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, stderr, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
    ]
    start = time.perf_counter()
    child = os.posix_spawn(command[0], command, os.environ, file_actions=redirections)
    _, status, usage = os.wait4(child, 0)
    seconds = time.perf_counter() - start
    print(
        f'{{"exit_code": {os.waitstatus_to_exitcode(status)}, "seconds": {seconds:.6f}, '
        f'"cpu_seconds": {usage.ru_utime + usage.ru_stime:.6f}, "peak_bytes": {usage.ru_maxrss * 1024}}}'
    )


if __name__ == "__main__":
    main()
