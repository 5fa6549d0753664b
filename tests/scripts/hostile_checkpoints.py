# SPDX-License-Identifier: Apache-2.0
"""The hostile checkpoints of tests/hostile, each through verify and convert:
none is run, crashes, hangs, takes much memory, is accepted, or leaves output.

Cases: C1 C2 C3 C4 C5 (safetensors/, index/), C7 C8 C9 C10 (gguf/), C11 C12 C13
C14 (pickle/, torch/), C15 C16 (content/), C20 (tokenizer-json/, tekken/), E5
(zip/).

What would be run leaves a file or calls a socket; a filter of system calls
ends the program, with a signal, at its first fork, or socket of the internet.
"""
import ctypes
import json
import multiprocessing
import os
import platform
import resource
import shutil
import socket
import subprocess
import sys
import threading

from harness import (CRASH_MARKS, LODESTONE, SOURCE, Failure, check, contains,
                     equal, is_sanitized, main)

sys.path.insert(0, os.path.join(SOURCE, "tests/hostile"))
import build_corpus  # noqa: E402
import pickles  # noqa: E402

MIB = 1 << 20
MAX_GROWTH = 256 * MIB
MAX_DATA = 400 * MIB    # of the address space that can be written
MAX_CPU_S = 2.0
MAX_WALL_S = 120.0      # a machine that does much else
LEAST_CASES = 200


SANITIZED = is_sanitized()

# A filter of system calls: struct sock_filter and the numbers of each machine.
_LOAD, _JUMP_EQUAL, _JUMP_SET, _RETURN = 0x20, 0x15, 0x45, 0x06
_KILL, _ALLOW, _NOT_THERE = 0x80000000, 0x7FFF0000, 0x00050000 | 38
_CLONE_THREAD = 0x10000
_MACHINES = {
    # audit number, clone, clone3, socket, and what may never be called
    "x86_64": (0xC000003E, 56, 435, 41, (57, 58, 322)),   # fork vfork execveat
    "aarch64": (0xC00000B7, 220, 435, 198, (281,)),
}


class _Filter(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint16), ("yes", ctypes.c_uint8),
                ("no", ctypes.c_uint8), ("k", ctypes.c_uint32)]


class _Program(ctypes.Structure):
    _fields_ = [("count", ctypes.c_uint16),
                ("filters", ctypes.POINTER(_Filter))]


def filter_program():
    """None on a machine whose numbers are not known here."""
    if platform.machine() not in _MACHINES:
        return None
    audit, clone, clone3, make_socket, never = _MACHINES[platform.machine()]
    steps = [(_LOAD, 0, 0, 4), (_JUMP_EQUAL, 1, 0, audit),
             (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, 0)]
    for number in never:
        steps += [(_JUMP_EQUAL, 0, 1, number), (_RETURN, 0, 0, _KILL)]
    # The C library falls back to clone, whose flags can be looked at.
    steps += [(_JUMP_EQUAL, 0, 1, clone3), (_RETURN, 0, 0, _NOT_THERE),
              (_JUMP_EQUAL, 0, 4, clone), (_LOAD, 0, 0, 16),
              (_JUMP_SET, 0, 1, _CLONE_THREAD), (_RETURN, 0, 0, _ALLOW),
              (_RETURN, 0, 0, _KILL),
              (_JUMP_EQUAL, 0, 4, make_socket), (_LOAD, 0, 0, 16),
              (_JUMP_EQUAL, 1, 0, socket.AF_INET),
              (_JUMP_EQUAL, 0, 1, socket.AF_INET6), (_RETURN, 0, 0, _KILL),
              (_RETURN, 0, 0, _ALLOW)]
    array = (_Filter * len(steps))(*(_Filter(*step) for step in steps))
    return _Program(len(steps), array)


PROGRAM = filter_program()
_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _PR_SET_PDEATHSIG = 38, 22, 1


def confine():
    """In the child, before the program starts."""
    _libc.prctl(_PR_SET_PDEATHSIG, 9)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if not SANITIZED:
        resource.setrlimit(resource.RLIMIT_DATA, (MAX_DATA, MAX_DATA))
        resource.setrlimit(resource.RLIMIT_CPU, (10, 10))
    if PROGRAM is not None:
        _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        _libc.prctl(_PR_SET_SECCOMP, 2, ctypes.byref(PROGRAM), 0, 0)


class Outcome:
    def __init__(self, argv, status, usage, stdout, stderr):
        self.argv = argv
        self.code = os.waitstatus_to_exitcode(status)
        self.cpu = usage.ru_utime + usage.ru_stime
        self.peak = usage.ru_maxrss * 1024
        self.stdout = stdout
        self.stderr = stderr
        self.events = []
        for line in stdout.splitlines():
            self.events.append(json.loads(line))

    @property
    def error(self):
        errors = [e for e in self.events if e["type"] == "error"]
        check(len(errors) == 1, f"{len(errors)} error events\n{self}")
        return errors[0]

    def __str__(self):
        return (f"$ {' '.join(self.argv)}\nexit code {self.code}, "
                f"{self.cpu:.2f} s, {self.peak / MIB:.0f} MiB\n"
                f"{self.stdout[-3000:]}\n{self.stderr[-3000:]}")


def run(where, env, *args):
    """One run of the program, confined, by the resources that it used."""
    argv = [LODESTONE, *args, "--json"]
    with open(where + ".out", "w+b") as out, open(where + ".err", "w+b") as err:
        process = subprocess.Popen(argv, env=env, cwd=env["TMPDIR"],
                                   stdin=subprocess.DEVNULL, stdout=out,
                                   stderr=err, preexec_fn=confine)
        late = threading.Timer(MAX_WALL_S, process.kill)
        late.start()
        _, status, usage = os.wait4(process.pid, 0)
        late.cancel()
        # A thread that still ends while the next program is forked may hold a
        # lock that the child waits for, before it is the program.
        late.join()
        process.returncode = os.waitstatus_to_exitcode(status)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "replace"))
    os.unlink(where + ".out")
    os.unlink(where + ".err")
    return Outcome(argv, status, usage, *texts)


def check_bounds(outcome, base, about):
    check(outcome.code >= 0,
          f"{about}: ended by signal {-outcome.code}\n{outcome}")
    for mark in CRASH_MARKS:
        check(mark not in outcome.stdout and mark not in outcome.stderr,
              f"{about}: {mark!r} was printed\n{outcome}")
    if SANITIZED:
        return
    check(outcome.cpu <= MAX_CPU_S,
          f"{about}: {outcome.cpu:.2f} s of processor time\n{outcome}")
    check(outcome.peak <= base + MAX_GROWTH,
          f"{about}: {outcome.peak / MIB:.0f} MiB at the peak, "
          f"{base / MIB:.0f} for a good model\n{outcome}")


def names_place(error, case, folder):
    """The message names the file, or the tensor that is wrong."""
    message = error["message"]
    names = [os.path.basename(path) for path in case.files] + [folder]
    return 'tensor "' in message or any(name in message for name in names)


def examine(case, root, base, env):
    folder = os.path.join(root, case.name.replace("/", "+"))
    build_corpus.write(folder, case.files, case.holes)
    target = os.path.join(folder, case.target) if case.target else folder
    output = os.path.join(root, "out+" + case.name.replace("/", "+") + ".gguf")
    runs = []
    for verb, code in (("verify", case.code), ("convert", case.convert_code)):
        if code is None:
            continue
        about = f"{case.name}: {verb}"
        args = [verb, target] + ([output] if verb == "convert" else [])
        outcome = run(folder + "." + verb, env, *args)
        check_bounds(outcome, base, about)
        equal(outcome.code, code, f"{about}: exit code\n{outcome}")
        equal(outcome.stderr, "", f"{about}: stderr with --json\n{outcome}")
        error = outcome.error
        if verb == "verify":
            matches = (error["code"].startswith(case.id[:-1])
                       if case.id.endswith("*") else error["code"] == case.id)
            check(matches, f"{about}: id {error['code']}, expected {case.id}\n"
                  f"{outcome}")
            for part in case.says:
                contains((error["message"] + error["hint"]).lower(),
                         part.lower(), f"{about}: message\n{outcome}")
        check(names_place(error, case, folder),
              f"{about}: names no place\n{outcome}")
        runs.append((outcome.cpu, outcome.peak))
    left = [name for name in os.listdir(root)
            if name.startswith(os.path.basename(output)[:-5])]
    equal(left, [], f"{case.name}: convert left output")
    shutil.rmtree(folder)
    return runs


_shared = {}


def attempt(case):
    """In a worker: what is wrong with this case, or nothing; and its runs."""
    try:
        return None, examine(case, **_shared)
    except (Failure, OSError, ValueError) as error:
        return f"{case.name}: {error}", []


def prepare(root, base, env):
    _shared.update(root=root, base=base, env=env)


def good_models(box, root, env):
    """Accepted as they are, by both verbs; the largest peak."""
    peak = 0
    for name, (files, target) in build_corpus.good_models().items():
        folder = os.path.join(root, "good-" + name)
        build_corpus.write(folder, files)
        path = os.path.join(folder, target) if target else folder
        for args in (("verify", path),
                     ("convert", path, folder + "-out.gguf")):
            outcome = run(folder + "-run", env, *args)
            equal(outcome.code, 0, f"good model {name}: {args[0]}\n{outcome}")
            peak = max(peak, outcome.peak)
        os.unlink(folder + "-out.gguf")
    outcome = run(os.path.join(root, "demo-run"), env, "verify", box.demo())
    equal(outcome.code, 0, f"demo model\n{outcome}")
    return peak


def payloads_work(box):
    """Python itself, told to load such pickles, leaves the canaries: what is
    looked for can be found."""
    folder = box.path("python")
    os.makedirs(folder)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.join(folder, pickles.SOCKET))
        listener.listen()
        listener.settimeout(30)
        connect = ("import socket; socket.socket(socket.AF_UNIX)"
                   f".connect('{pickles.SOCKET}')")
        for payload in (pickles.call("posix", "system", pickles.COMMAND),
                        pickles.call("builtins", "exec", connect)):
            subprocess.run(
                [sys.executable, "-c",
                 "import pickle, sys; pickle.loads(sys.stdin.buffer.read())"],
                input=payload, cwd=folder, check=True, timeout=60)
        listener.accept()[0].close()
    check(os.path.exists(os.path.join(folder, pickles.CANARY)),
          "the payload leaves no file even in Python")


def test(box):
    payloads_work(box)
    root = box.path("cases")
    os.makedirs(root)
    env = dict(box.env)
    if SANITIZED:  # looking for leaks starts a process
        env["ASAN_OPTIONS"] = env.get("ASAN_OPTIONS", "") + ":detect_leaks=0"
    with socket.socket(socket.AF_UNIX) as listener:
        # The program runs in this folder, where the payloads would act.
        listener.bind(os.path.join(env["TMPDIR"], pickles.SOCKET))
        listener.listen()
        listener.setblocking(False)
        base = good_models(box, root, env)
        wanted = os.environ.get("HOSTILE_CASES", "")
        cases = (case for case in build_corpus.all_cases()
                 if wanted in case.name)
        problems, runs, count = [], [], 0
        with multiprocessing.Pool(os.cpu_count(), prepare,
                                  (root, base, env)) as pool:
            for problem, measured in pool.imap_unordered(attempt, cases):
                count += 1
                runs += measured
                if problem is not None:
                    problems.append(problem)
        try:
            listener.accept()
            problems.append("something connected to the canary socket")
        except BlockingIOError:
            pass
    check(not os.path.exists(os.path.join(env["TMPDIR"], pickles.CANARY)),
          "something was executed")
    print(f"{count} cases, {len(runs)} runs, at most "
          f"{max(r[0] for r in runs):.2f} s and "
          f"{max(r[1] for r in runs) / MIB:.0f} MiB "
          f"({base / MIB:.0f} MiB for a good model)")
    check(not problems, f"{len(problems)} of {count} cases:\n" +
          "\n".join(problems))
    check(wanted or count >= LEAST_CASES, f"only {count} cases")


main(test)
