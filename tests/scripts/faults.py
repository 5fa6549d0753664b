# SPDX-License-Identifier: Apache-2.0
"""Disks and a process that fail (F2 to F5, F10 to F15): the right exit code, no
final name, and a next run that ends well."""
import errno
import hashlib
import os
import pty
import random
import signal
import subprocess

from harness import (LOCAL, Skip, check, contains, equal, main, needs, read,
                     same_tree, wait_until, write)

SHIM = os.environ.get("FAULT_SHIM", "")
PIECE = 65536
MIB = 1 << 20


class Get:
    """One download in several runs, each perhaps with a fault."""

    def __init__(self, box, name, origin, seeder):
        self.box = box
        self.origin = origin
        self.output = box.path(name)
        self.env = box.user(name + "-user")
        self.arguments = ("get", seeder.magnet, "--output", self.output,
                          "--peer", seeder.endpoint, "--port", "0", *LOCAL,
                          "--raw", "--no-fallback-trackers", "--json")

    @property
    def final(self):
        return os.path.join(self.output, "demo")

    @property
    def work(self):
        name, = [name for name in os.listdir(self.output)
                 if name.endswith(".partial")]
        return os.path.join(self.output, name)

    def fault(self, **settings):
        env = dict(self.env, LD_PRELOAD=SHIM)
        for name, value in settings.items():
            env["FAULT_" + name.upper()] = str(value)
        return env

    def fails(self, env=None, code=5, **more):
        run = self.box.run(*self.arguments, code=code, env=env or self.env,
                           **more)
        self.no_final()
        return run

    def no_final(self):
        check(not os.path.lexists(self.final), "a final name")

    def succeeds(self, **more):
        run = self.box.run(*self.arguments, env=self.env, **more)
        same_tree(self.final, self.origin)
        equal(sorted(os.listdir(self.output)), ["demo"], "what is left")
        return run


def eio(box, origin, seeder):
    """F2, and a quota or a file system's limit (F13): the error names the file,
    nothing is called verified, and without the fault it ends well."""
    cases = (
        ("write", "/data/demo/weights", 20, errno.EIO, "weights.bin"),
        ("read", "/data/demo/weights", 3, errno.EIO, "weights.bin"),
        ("sync", "/data/demo/weights", 1, errno.EIO, "weights.bin"),
        ("sync", ".partial/state", 2, errno.EIO, "state"),
        ("write", "/data/demo/weights", 20, errno.EDQUOT, "weights.bin"),
        ("write", "/data/demo/weights", 20, errno.EFBIG, "weights.bin"),
        ("write", ".partial/state", 2, errno.ENOSPC, "state"),
    )
    for number, (call, path, nth, error, named) in enumerate(cases):
        get = Get(box, f"eio{number}", origin, seeder)
        run = get.fails(get.fault(call=call, path=path, nth=nth, errno=error))
        contains(run.error["message"], named,
                 f"F2: {call} of {path} fails with {errno.errorcode[error]}")
        get.succeeds()


def order(box, origin, seeder):
    """F3: what is written lastingly, and when. Before the first byte of
    payload a mark says that a run is under way; it goes only after every file
    and then the state that claims them is on disk; the final name comes
    last."""
    get = Get(box, "order", origin, seeder)
    log = box.path("order.log")
    box.run(*get.arguments, env=get.fault(log=log))
    same_tree(get.final, origin)
    calls = [line.split(" ", 1) for line in read(log).decode().splitlines()]

    def places(call, part):
        return [place for place, (made, path) in enumerate(calls)
                if made == call and part in path]
    writes = places("write", "/data/demo/")
    check(writes, "F3: no write was seen")
    folder_syncs = [place for place in places("sync", ".partial")
                    if calls[place][1].endswith(".partial")]
    check(folder_syncs and folder_syncs[0] < writes[0],
          "F3: the mark is not lasting before the first write")
    synced = []
    for name in ("params.json", "weights.bin", "tail.bin"):
        after = [place for place in places("sync", "/data/demo/" + name)
                 if place > writes[-1]]
        check(after, f"F3: {name} was not synced after the last write")
        synced.append(after[0])
    unmarked = places("unlink", "unclean")
    check(unmarked, "F3: the mark was never taken away")
    claims = [place for place in places("rename", ".partial/state")
              if max(synced) < place < unmarked[0]]
    check(claims, "F3: no state was saved between the sync and the mark")
    promoted = places("rename", "/order/demo")
    check(promoted and promoted[-1] > unmarked[0],
          "F3: the final name came too early")


def power_loss(box, origin, seeder, generator):
    """F3: of an unclean run, blocks that were not synced are gone and the
    state is empty, torn, or gone."""
    get = Get(box, "power", origin, seeder)
    slow = (*get.arguments, "--down", "2MB")
    for damage in ("empty", "torn", "gone"):
        process = box.start(*slow, env=get.env)
        resumed = process.wait_event("plan")["resume_bytes"]
        while process.wait_event("progress")["done_bytes"] <= resumed:
            pass
        process.send(signal.SIGKILL)
        process.end(-signal.SIGKILL)
        get.no_final()
        weights = os.path.join(get.work, "data", "demo", "weights.bin")
        with open(weights, "r+b") as file:
            for _ in range(5):
                file.seek(generator.randrange(os.path.getsize(weights)))
                file.write(bytes(4096))
            file.truncate(3 * MIB)
        for name in os.listdir(get.work):
            path = os.path.join(get.work, name)
            if not name.startswith("state"):
                continue
            if damage == "gone":
                os.remove(path)
            else:
                with open(path, "r+b") as file:
                    file.truncate(0 if damage == "empty" else
                                  os.path.getsize(path) // 2)
    get.succeeds()


def killed_later(box, origin, seeder):
    """F4: killed while the whole download is read again, just before its final
    name, and while the work folder is removed."""
    for number, (call, path, nth) in enumerate((
            ("read", "/data/demo/weights", 2), ("sync", ".partial/state", 3),
            ("rename", "/demo", 1))):
        get = Get(box, f"killed{number}", origin, seeder)
        process = box.start(*get.arguments,
                            env=get.fault(call=call, path=path, nth=nth,
                                          errno=0))
        process.end(-signal.SIGKILL)
        get.no_final()
        get.succeeds()
    get = Get(box, "killed-late", origin, seeder)
    process = box.start(*get.arguments, env=get.fault(
        call="unlink", path="lock", nth=1, errno=0))
    process.end(-signal.SIGKILL)
    same_tree(get.final, origin)
    get.succeeds()


def terminal_closed(box, origin, seeder):
    """F5: the terminal goes away while it runs; the state is saved."""
    get = Get(box, "terminal", origin, seeder)
    ours, theirs = pty.openpty()
    arguments = [argument for argument in get.arguments if argument != "--json"]
    lodestone = os.environ["LODESTONE"]

    def own_terminal():
        os.setsid()
        import fcntl
        import termios
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    process = subprocess.Popen([lodestone, *arguments, "--yes", "--down", "1MB"],
                               stdin=theirs, stdout=theirs, stderr=theirs,
                               env=get.env, preexec_fn=own_terminal)
    box.at_end(process.kill)
    os.close(theirs)
    data = lambda: [name for name in (os.listdir(get.output)
                                      if os.path.isdir(get.output) else ())
                    if os.path.exists(os.path.join(
                        get.output, name, "data/demo/weights.bin"))]
    wait_until(data, "F5: the download begins")
    os.close(ours)
    equal(process.wait(10), 143, "F5: exit code when the terminal is closed")
    get.no_final()
    check(not os.path.exists(os.path.join(get.work, "unclean")),
          "F5: the run did not come to its end")
    get.succeeds()


def stdout_closed(box, origin, seeder):
    """F5: nobody reads what it prints."""
    get = Get(box, "epipe", origin, seeder)
    reader, writer = os.pipe()
    os.close(reader)
    run = box.run(*get.arguments, code=5, env=get.env, stdout=writer,
                  schema=False)
    os.close(writer)
    check(run.seconds < 30, f"F5: {run.seconds} s")
    box.run(*get.arguments, env=get.env)
    same_tree(get.final, origin)


def links(box, origin, seeder):
    """F10: a symbolic link where payload goes, or in place of the folder."""
    get = Get(box, "links", origin, seeder)
    process = box.start(*get.arguments, "--down", "1MB", env=get.env)
    process.wait_event("plan")
    while process.wait_event("progress")["done_bytes"] == 0:
        pass
    process.stop(signal.SIGINT, 130)
    weights = os.path.join(get.work, "data", "demo", "weights.bin")
    outside = write(box.path("outside"), "mine")
    os.rename(weights, weights + ".away")
    os.symlink(outside, weights)
    run = get.fails()
    equal(run.error["code"], "E-SYMLINK", "F10: error code")
    equal(read(outside), b"mine", "F10: what the link leads to")
    os.remove(weights)
    os.rename(weights + ".away", weights)
    work = get.work
    os.rename(work, work + ".away")
    os.symlink(work + ".away", work)
    run = get.fails()
    equal(run.error["code"], "E-SYMLINK", "F10: error code for the folder")
    os.remove(work)
    os.rename(work + ".away", work)
    get.succeeds()


def two_at_once(box, origin, seeder):
    """F11: the second is told so; the lock of a killed one is none."""
    get = Get(box, "two", origin, seeder)
    process = box.start(*get.arguments, "--down", "1MB", env=get.env)
    process.wait_event("plan")
    while process.wait_event("progress")["done_bytes"] == 0:
        pass
    run = get.fails(code=12)
    equal(run.error["code"], "E-LOCKED", "F11: error code")
    process.send(signal.SIGKILL)
    process.end(-signal.SIGKILL)
    get.succeeds()


def limits(box, origin, seeder):
    """F12: few descriptors are enough; with too little of the rest it stops in
    order, and goes on when it has more. F13: a limit on the size of files."""
    needs("prlimit")
    get = Get(box, "nofile", origin, seeder)
    get.succeeds(wrap=("prlimit", "--nofile=64"))
    get = Get(box, "fsize", origin, seeder)
    run = get.fails(wrap=("prlimit", f"--fsize={2 * MIB}"))
    contains(run.error["message"], "weights.bin", "F13: the error")
    get.succeeds()


def clocks(box, origin, seeder):
    """F14: the year 2106, when 32 bits of seconds are over, and 1970: the wall
    clock decides nothing."""
    for number, offset in enumerate((2_600_000_000, -1_700_000_000)):
        get = Get(box, f"clock{number}", origin, seeder)
        box.run(*get.arguments, env=get.fault(clock=offset), schema=False)
        same_tree(get.final, origin)


def terminals(box, seeder_env):
    """F15: names with escape sequences, in a locale that knows ASCII only and
    on a narrow terminal: escaped, with the same exit code."""
    origin = box.path("names", "demo")
    write(os.path.join(origin, "weights.bin"), random.Random(1).randbytes(MIB))
    write(os.path.join(origin, "\u00e4\u4e2d.txt"), "text")
    box.run("publish", origin, "--piece-size", PIECE, env=seeder_env)
    seeder = box.seed(origin)
    for number, more in enumerate(({"LC_ALL": "C"}, {"LC_ALL": "POSIX",
                                   "COLUMNS": "20", "NO_COLOR": "1"},
                                   {"LC_ALL": "xx_XX.unknown"})):
        get = Get(box, f"locale{number}", origin, seeder)
        get.env.update(more)
        arguments = [part for part in get.arguments if part != "--json"]
        run = box.run(*arguments, env=get.env)
        check("\x1b" not in run.stdout, f"F15: an escape\n{run}")
        same_tree(get.final, origin)
    seeder.stop()
    run = box.run("get", "magnet:?xt=urn:btih:" + "0" * 39 + "\x1b[31m",
                  "--output", box.path("nowhere"), code=2,
                  env=dict(box.user("esc"), LC_ALL="C"))


def test(box):
    generator = random.Random(11)
    origin = box.path("origin", "demo")
    write(os.path.join(origin, "params.json"), "{}")
    write(os.path.join(origin, "weights.bin"), generator.randbytes(4 * MIB))
    write(os.path.join(origin, "tail.bin"), generator.randbytes(5000))
    # A list of sums, so that get --raw reads again what it has written.
    write(os.path.join(origin, "SHA256SUMS"), "".join(
        f"{hashlib.sha256(read(os.path.join(origin, name))).hexdigest()}"
        f"  {name}\n" for name in ("tail.bin", "weights.bin")))
    seeder_env = box.user("seeder")
    box.run("publish", origin, "--piece-size", PIECE, env=seeder_env)
    seeder = box.seed(origin)
    probe = subprocess.run([os.environ["LODESTONE"], "--version"],
                           env=dict(box.env, LD_PRELOAD=SHIM),
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if not SHIM or probe.returncode != 0:
        raise Skip("nothing can be preloaded here: "
                   + probe.stdout.decode(errors="replace")[:200])
    eio(box, origin, seeder)
    order(box, origin, seeder)
    power_loss(box, origin, seeder, generator)
    killed_later(box, origin, seeder)
    terminal_closed(box, origin, seeder)
    stdout_closed(box, origin, seeder)
    links(box, origin, seeder)
    two_at_once(box, origin, seeder)
    limits(box, origin, seeder)
    clocks(box, origin, seeder)
    seeder.stop()
    terminals(box, seeder_env)


main(test)
