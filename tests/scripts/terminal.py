# SPDX-License-Identifier: Apache-2.0
"""Programs on a terminal of their own, for what they ask a person."""
import os
import pty
import select
import time

from harness import check

PATIENCE = 120


def on_terminal(argv, answers, prompt, env, cwd):
    """Runs a program and types an answer (bytes) whenever what it showed ends
    with `prompt`; its exit code and all that was shown."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(cwd)
        os.execvpe(argv[0], list(map(str, argv)), env)
    shown, answered = b"", 0
    answers = list(answers)
    deadline = time.monotonic() + PATIENCE
    while True:
        ready, _, _ = select.select([terminal], [], [], 1)
        check(time.monotonic() < deadline, f"no end: {shown}")
        if not ready:
            continue
        try:
            part = os.read(terminal, 4096)
        except OSError:
            break  # the other end is closed
        if not part:
            break
        shown += part
        if answers and shown[answered:].rstrip().endswith(prompt):
            answered = len(shown)
            os.write(terminal, answers.pop(0))
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), shown.decode()
