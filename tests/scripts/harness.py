# SPDX-License-Identifier: Apache-2.0
"""What the command-line tests share: a folder of its own for each test, runs
of the program with all that must hold for every run, seeders, small hurts.

A test is a file with `def test(box)` and `main(test)` at its end. Nothing here
waits for time to pass: runs end, events come, conditions become true, or a
deadline makes the test fail.
"""
import contextlib
import ctypes
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback

SOURCE = os.environ.get("SOURCE") or os.path.dirname(
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LODESTONE = os.environ.get("LODESTONE") or os.path.join(
    SOURCE, "build/dev/lodestone")
CHECK_EVENTS = os.environ.get("CHECK_EVENTS") or os.path.join(
    SOURCE, "build/dev/tests/scripts/check_events")
SCHEMA = os.path.join(SOURCE, "docs/json-events.schema.json")
DOCUMENT_SCHEMA = os.path.join(SOURCE, "docs/json-documents.schema.json")
DEMO = os.path.join(SOURCE, "magnets/demo")

# Sessions of tests meet on loopback and look for nobody else.
LOCAL = ("--listen", "127.0.0.1", "--no-dht", "--no-lsd")

SKIPPED = 77
# What runs under a sanitizer takes longer.
PATIENCE = 60.0 * float(os.environ.get("PATIENCE_FACTOR", "1"))

# Whatever the exit code: the program must not end like this.
CRASH_MARKS = ("check failed", "Traceback", "terminate called",
               "AddressSanitizer", "ThreadSanitizer", "runtime error:",
               "internal error", "Assertion")


def is_sanitized():
    """Whether the program has memory of its own for what it checks."""
    with open(LODESTONE, "rb") as file:
        program = file.read()
    return b"__asan_init" in program or b"__tsan_init" in program


class Failure(AssertionError):
    """What the program did is not what it should do."""


class Skip(Exception):
    """This machine cannot run the test."""


def check(condition, message):
    if not condition:
        raise Failure(message)


def equal(actual, expected, what):
    if actual != expected:
        raise Failure(f"{what}: {actual!r}, expected {expected!r}")


def contains(text, part, what):
    if part not in text:
        raise Failure(f"{what}: no {part!r} in {text!r}")


def wait_until(condition, what, patience=PATIENCE):
    """For what sends no event: asks until it holds."""
    deadline = time.monotonic() + patience
    pause = threading.Event()
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Failure(f"waited {patience:.0f} s in vain: {what}")
        pause.wait(0.02)


_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def _die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Run:
    """A run of the program that has ended."""

    def __init__(self, argv, code, stdout, stderr, seconds):
        self.argv = argv
        self.code = code
        self.stdout_bytes = stdout
        self.stdout = stdout.decode("utf-8", "replace")
        self.stderr = stderr.decode("utf-8", "replace")
        self.seconds = seconds
        self.events = []
        self.document = None  # of a verb that prints one

    def __str__(self):
        return (f"$ {' '.join(self.argv)}\nexit code {self.code}\n"
                f"--- stdout\n{_shorten(self.stdout)}\n"
                f"--- stderr\n{_shorten(self.stderr)}")

    @property
    def last_line(self):
        lines = self.stdout.splitlines()
        return lines[-1] if lines else ""

    @property
    def error_lines(self):
        return [line for line in self.stderr.splitlines()
                if line.startswith("error")]

    def of_type(self, kind):
        return [event for event in self.events if event["type"] == kind]

    @property
    def result(self):
        results = self.of_type("result")
        check(len(results) == 1, f"{len(results)} result events\n{self}")
        return results[0]

    @property
    def error(self):
        if self.document is not None:
            check("error" in self.document, f"no error\n{self}")
            return self.document["error"]
        errors = self.of_type("error")
        check(len(errors) == 1, f"{len(errors)} error events\n{self}")
        return errors[0]


def _shorten(text, limit=6000):
    if len(text) <= limit:
        return text
    return text[:limit // 2] + "\n[...]\n" + text[-limit // 2:]


def parse_events(text, about):
    events = []
    for line in text.splitlines():
        try:
            events.append(json.loads(line))
        except ValueError:
            raise Failure(f"with --json a line is not JSON: {line!r}\n{about}")
    return events


def check_schema(stdout_bytes, about, document=False):
    """Every event against the schema, and their order; or one document."""
    how = ["--document", DOCUMENT_SCHEMA] if document else [SCHEMA]
    checked = subprocess.run([CHECK_EVENTS, *how], input=stdout_bytes,
                             stdout=subprocess.PIPE, timeout=PATIENCE)
    check(checked.returncode == 0,
          f"check_events: {checked.stdout.decode()}\n{about}")


def check_run(run, is_json, schema=True):
    """What holds for every run that was not killed."""
    check(run.code >= 0, f"ended by signal {-run.code}\n{run}")
    for mark in CRASH_MARKS:
        check(mark not in run.stderr and mark not in run.stdout,
              f"{mark!r} was printed\n{run}")
    # Standard output holds paths and models' words as they are.
    check("\x1b" not in run.stderr, f"an escape character was printed\n{run}")
    if is_json:
        run.events = parse_events(run.stdout, run)
        if schema and run.events and "type" not in run.events[0]:
            run.document = run.events[0]
            run.events = []
            check_schema(run.stdout_bytes, run, document=True)
            equal(run.document.get("exit_code", 0), run.code,
                  f"exit_code of the document\n{run}")
        elif schema:
            check_schema(run.stdout_bytes, run)
            equal(run.result["exit_code"], run.code, f"result.exit_code\n{run}")
            equal(run.result["ok"], run.code == 0, f"result.ok\n{run}")
        if run.stdout_bytes:
            equal(run.stderr, "", f"stderr with --json\n{run}")
    else:
        check(len(run.error_lines) <= 1, f"more than one error line\n{run}")


class Process:
    """A program in the background. Its standard output comes in lines."""

    def __init__(self, argv, env, cwd, is_json):
        self.argv = argv
        self.is_json = is_json
        self.events = []
        self._started = time.monotonic()
        self._lines = queue.Queue()
        self._stdout = []
        self._stderr = []
        self._popen = subprocess.Popen(
            argv, env=env, cwd=cwd, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True, preexec_fn=_die_with_parent)
        self._threads = [
            threading.Thread(target=self._read_stdout, daemon=True),
            threading.Thread(target=self._read_stderr, daemon=True)]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self):
        return self._popen.pid

    def _read_stdout(self):
        for line in self._popen.stdout:
            self._stdout.append(line)
            self._lines.put(line)
        self._lines.put(None)

    def _read_stderr(self):
        for line in self._popen.stderr:
            self._stderr.append(line)

    def line(self, patience=PATIENCE):
        """The next line of standard output; None when there are no more."""
        try:
            line = self._lines.get(timeout=patience)
        except queue.Empty:
            raise Failure(f"no output for {patience:.0f} s\n{self}")
        if line is None:
            self._lines.put(None)
            return None
        return line.decode("utf-8", "replace")

    def event(self, patience=PATIENCE):
        """The next event of a --json run; None when there are no more."""
        line = self.line(patience)
        if line is None:
            return None
        if not line.endswith("\n"):
            return None  # killed in the middle of a line
        try:
            event = json.loads(line)
        except ValueError:
            raise Failure(f"with --json a line is not JSON: {line!r}\n{self}")
        self.events.append(event)
        return event

    def wait_event(self, kind, patience=PATIENCE, **fields):
        """The next event of that type whose fields have those values."""
        deadline = time.monotonic() + patience
        while True:
            event = self.event(max(0.1, deadline - time.monotonic()))
            if event is None:
                raise Failure(f"ended before a {kind} event\n{self}")
            if event["type"] == kind and all(
                    event.get(name) == value
                    for name, value in fields.items()):
                return event

    def send(self, number):
        self._popen.send_signal(number)

    def running(self):
        return self._popen.poll() is None

    def end(self, code=None, patience=PATIENCE, schema=True):
        """Waits for the end; checks it as `run` does."""
        try:
            self._popen.wait(patience)
        except subprocess.TimeoutExpired:
            raise Failure(f"still running after {patience:.0f} s\n{self}")
        for thread in self._threads:
            thread.join(patience)
        run = Run(self.argv, self._popen.returncode, b"".join(self._stdout),
                  b"".join(self._stderr), time.monotonic() - self._started)
        if run.code != -signal.SIGKILL:
            check_run(run, self.is_json, schema)
        if code is not None:
            equal(run.code, code, f"exit code\n{run}")
        return run

    def stop(self, number=signal.SIGTERM, code=143):
        self.send(number)
        return self.end(code)

    def kill(self):
        """With all that it started; no complaint if it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()

    def __str__(self):
        return (f"$ {' '.join(self.argv)}\n"
                f"--- stdout\n{_shorten(_text(self._stdout))}\n"
                f"--- stderr\n{_shorten(_text(self._stderr))}")


def _text(lines):
    return b"".join(list(lines)).decode("utf-8", "replace")


class Seeder:
    """`lodestone seed`, which listens."""

    def __init__(self, process):
        self.process = process
        self.magnet = self.endpoint = None
        while self.magnet is None or self.endpoint is None:
            event = process.event()
            check(event is not None, f"the seeder ended\n{process}")
            if event["type"] == "plan":
                self.magnet = event["magnet"]
            elif event["type"] == "listen":
                self.endpoint = event["endpoint"]

    @property
    def port(self):
        return int(self.endpoint.rpartition(":")[2])

    def stop(self):
        """Ends it; the bytes that it uploaded."""
        run = self.process.stop()
        return run.result["summary"]["uploaded_bytes"]


def receive(peer, count):
    """Exactly that many bytes; EOFError if the other side ends before."""
    data = b""
    while len(data) < count:
        part = peer.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return data


class Box:
    """A test's folder and all that it starts."""

    def __init__(self, folder):
        self.folder = folder
        self._processes = []
        self._cleanups = []
        self.env = self.user("home")

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def user(self, name):
        """Environment of a user of their own, with nothing stored yet."""
        home = self.path(name)
        keep = ("PATH", "LD_LIBRARY_PATH", "ASAN_OPTIONS", "TSAN_OPTIONS",
                "UBSAN_OPTIONS", "LSAN_OPTIONS")
        env = {key: os.environ[key] for key in keep if key in os.environ}
        # No test announces to trackers of the world.
        env.update(HOME=home, LC_ALL="C.UTF-8", TERM="dumb",
                   TMPDIR=self.path("tmp"), LODESTONE_NO_FALLBACK_TRACKERS="1")
        for variable, part in (("XDG_DATA_HOME", "data"),
                               ("XDG_CONFIG_HOME", "config"),
                               ("XDG_STATE_HOME", "state"),
                               ("XDG_CACHE_HOME", "cache"),
                               ("XDG_RUNTIME_DIR", "run")):
            env[variable] = os.path.join(home, part)
            os.makedirs(env[variable], exist_ok=True)
        os.makedirs(env["TMPDIR"], exist_ok=True)
        return env

    def demo(self, *parts):
        """A copy of the demo model; its path, by default FOLDER/origin/demo."""
        path = self.path(*(parts or ("origin", "demo")))
        shutil.copytree(DEMO, path)
        return path

    def part(self, name):
        """A box within this one: a folder of its own, ended with it."""
        os.makedirs(self.path(name))
        os.chmod(self.folder, 0o755)  # for programs that leave root behind
        part = Box(self.path(name))
        self.at_end(part.close)
        return part

    def at_end(self, action):
        """Called when the test is over, last one first."""
        self._cleanups.append(action)

    def run(self, *args, code=0, env=None, cwd=None, stdin=None,
            patience=PATIENCE, stdout=subprocess.PIPE, wrap=(), schema=True):
        """Runs the program to its end. `wrap`: a command to run it by;
        `schema`: with --json, events come and are checked."""
        argv = [*wrap, LODESTONE, *map(str, args)]
        started = time.monotonic()
        process = subprocess.Popen(
            argv, env=env or self.env, cwd=cwd or self.folder,
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=stdout, stderr=subprocess.PIPE, start_new_session=True,
            preexec_fn=_die_with_parent)
        try:
            out, err = process.communicate(stdin, timeout=patience)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            raise Failure(f"still running after {patience:.0f} s\n"
                          f"{Run(argv, None, out or b'', err, patience)}")
        run = Run(argv, process.returncode, out or b"", err,
                  time.monotonic() - started)
        check_run(run, "--json" in args, schema)
        if code is not None:
            equal(run.code, code, f"exit code\n{run}")
        if "--json" not in args and stdout == subprocess.PIPE:
            equal(len(run.error_lines), 1 if _is_error(run.code) else 0,
                  f"error lines for exit code {run.code}\n{run}")
        return run

    def fails(self, *args, code, id=None, says=(), **more):
        """Runs it with and without --json: the code, one error with that id,
        and those texts in its message or hint. Returns the --json run."""
        plain = self.run(*args, code=code, **more)
        run = self.run(*args, "--json", code=code, **more)
        error = run.error
        if id is not None:
            equal(error["code"], id, f"error code\n{run}")
            check(plain.stderr.find(f"error[{id}]: ") >= 0,
                  f"the id is not in the error line\n{plain}")
        check(error.get("fatal", True) is True, f"error not fatal\n{run}")
        for text in [says] if isinstance(says, str) else says:
            contains(error["message"] + "; " + error["hint"], text,
                     f"error event\n{run}")
            contains(plain.error_lines[0], text, f"error line\n{plain}")
        # One line, printable, and not a page long.
        check(len(plain.error_lines[0]) < 1500, f"a long error\n{plain}")
        check(plain.error_lines[0].isprintable(),
              f"an unprintable error\n{plain}")
        return run

    def start(self, *args, env=None, cwd=None, wrap=()):
        """The program in the background."""
        return self.spawn([*wrap, LODESTONE, *map(str, args)],
                          env=env, cwd=cwd)

    def spawn(self, argv, env=None, cwd=None):
        """Any program in the background."""
        process = Process([str(arg) for arg in argv], env or self.env,
                          cwd or self.folder, "--json" in argv)
        self._processes.append(process)
        return process

    def seed(self, path, *extra, env=None, listen=LOCAL, wrap=()):
        """Serves a path as a user of its own, so that nobody else knows the
        torrent."""
        return Seeder(self.start(
            "seed", path, "--separate", "--port", "0", *listen, *extra,
            "--json",
            env=env or self.user("seeder"), wrap=wrap))

    def get(self, source, seeder, output, *extra, **more):
        peers = () if seeder is None else ("--peer", seeder.endpoint)
        return self.run("get", source, "--output", output, *peers, "--port",
                        "0", *LOCAL, *extra, **more)

    def close(self):
        for process in self._processes:
            process.kill()
        for action in reversed(self._cleanups):
            action()


def _is_error(code):
    # 10: asked for and found; no error.
    return code not in (0, 10)


def main(test):
    # Ctrl-C or a watchdog's SIGTERM ends what was started, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = os.path.realpath(tempfile.mkdtemp(prefix="lodestone-"))
    box = Box(folder)
    status = 1
    try:
        test(box)
        status = 0
    except Skip as reason:
        print(f"skipped: {reason}")
        status = SKIPPED
    except Exception:
        traceback.print_exc()
    finally:
        box.close()
        if status == 1:
            print(f"kept for a look: {folder}", file=sys.stderr)
        else:
            shutil.rmtree(folder)
    sys.exit(status)


# Small hurts and comparisons.

def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data if isinstance(data, bytes) else data.encode())
    return path


def flip_byte(path, offset):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0xff]))


def tree(folder):
    """Relative path to content, or to None for what is no regular file."""
    files = {}
    for parent, folders, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            relative = os.path.relpath(path, folder)
            plain = os.path.isfile(path) and not os.path.islink(path)
            files[relative] = read(path) if plain else None
        for name in folders:
            path = os.path.join(parent, name)
            if not os.listdir(path):
                files[os.path.relpath(path, folder) + "/"] = b""
    return files


def same_tree(actual, expected):
    left, right = tree(actual), tree(expected)
    equal(sorted(left), sorted(right), f"files in {actual}")
    for name in left:
        check(left[name] == right[name],
              f"{name} in {actual} differs from {expected}")


def bare(magnet):
    """A magnet without anything but its first xt."""
    return magnet.split("&")[0]


def needs_root():
    if os.geteuid() != 0:
        raise Skip("needs root")


def needs(*programs):
    for program in programs:
        if shutil.which(program) is None:
            raise Skip(f"{program} is not installed")


def free_port():
    """A TCP port on loopback that was free a moment ago."""
    import socket
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def processes_of_session(session_id):
    """Process ids of a session: what a run left behind."""
    found = []
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        with contextlib.suppress(OSError):
            fields = read(f"/proc/{name}/stat").rpartition(b")")[2].split()
            if int(fields[3]) == session_id and fields[0] != b"Z":
                found.append(int(name))
    return found
