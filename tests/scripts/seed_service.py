# SPDX-License-Identifier: Apache-2.0
"""Seeding as a service: many models in one process, told from the command
line; ls, ps and rm; what is remembered over runs; metrics; the daemon."""
import http.client
import os
import shutil
import signal
import socket
import sqlite3
import stat

from harness import (LOCAL, check, contains, equal, main, wait_until, write)

SERVE = ("--port", "0", *LOCAL, "--json")


def make(box, name, size=None):
    # No two alike in size: a torrent of one would be taken for the other's.
    size = size or 200_000 + 1000 * sum(map(ord, name))
    path = box.path("models", name)
    os.makedirs(path)
    seed = name.encode()
    data = b"".join(bytes([(i * 37 + b) & 255 for b in seed])
                    for i in range(size // len(seed) + 1))[:size]
    write(os.path.join(path, "weights.bin"), data)
    write(os.path.join(path, "params.json"), b"{}" + b" " * (size % 997))
    return path


def tree_size(path):
    return sum(os.path.getsize(os.path.join(path, name))
               for name in os.listdir(path))


def served(box):
    """Name to state, of the usual seeder."""
    found = {}
    for process in box.run("ps", "--json").document["processes"]:
        for model in process["models"]:
            found[model["name"]] = model
    return found


def wait_state(box, name, state):
    return wait_until(
        lambda: (served(box).get(name) or {}).get("state") == state,
        f"{name} is {state}")


def listed(box):
    return {model["name"]: model
            for model in box.run("ls", "--json").document["models"]}


def start(box, *args):
    process = box.start("seed", *args, *SERVE)
    process.wait_event("listen")
    return process


def test_many_models(box):
    paths = [make(box, name) for name in ("alpha", "beta", "gamma")]
    seeder = start(box, paths[0], paths[1])
    wait_state(box, "alpha", "seeding")
    wait_state(box, "beta", "seeding")
    # The socket is private.
    run = box.env["XDG_RUNTIME_DIR"]
    path = os.path.join(run, "lodestone", "seed.sock")
    equal(stat.S_IMODE(os.stat(path).st_mode), 0o600, "mode of the socket")
    equal(stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode), 0o700,
          "mode of its folder")

    # Another seed hands its model over to the one that runs ...
    handed = box.run("seed", paths[2], "--ratio", "3")
    contains(handed.stderr, "handed to the running seeder", "handing over")
    wait_state(box, "gamma", "seeding")
    contains(served(box)["gamma"]["policy"], "ratio=3", "its policy")
    # ... and is busy if it asks for what that one cannot give (G8).
    box.fails("seed", paths[2], "--port", "0", code=12, id="E-RUNNING",
              says="--separate")

    # Names as printed can be pasted back.
    box.run("seed", "--pause", "beta")
    wait_state(box, "beta", "paused")
    equal(listed(box)["beta"]["paused"], True, "ls says that it is paused")
    box.run("seed", "--resume", "beta")
    wait_state(box, "beta", "seeding")
    box.run("seed", "--recheck", paths[0])
    wait_state(box, "alpha", "seeding")
    box.run("seed", "--limits", "--up", "5MB")
    box.fails("seed", "--pause", "delta", code=3, says="not served here")
    plain = box.run("ps", "--plain").stdout.splitlines()
    equal(sorted(line.split("\t")[1] for line in plain),
          ["alpha", "beta", "gamma"], "ps --plain")
    plain = box.run("ls", "--plain").stdout.splitlines()
    equal(plain[0].split("\t")[:2], ["alpha", str(tree_size(paths[0]))], "ls --plain")

    # rm asks; without a terminal it needs --yes. The seeder drops it first.
    box.fails("rm", "gamma", code=2, id="E-CONFIRM", says="--yes")
    check(os.path.exists(paths[2]), "gamma is still there")
    write(os.path.join(paths[2], "notes.txt"), b"mine")
    gone = box.run("rm", "gamma", "--yes", "--json")
    equal(gone.document["deleted_files"], 2, "files deleted")
    equal(os.listdir(paths[2]), ["notes.txt"], "what the torrent did not name")
    check("gamma" not in served(box), "gamma is not served any more")
    check("gamma" not in listed(box), "gamma is not listed any more")
    box.run("rm", "beta", "--keep-data")
    check(os.path.exists(os.path.join(paths[1], "weights.bin")), "data kept")
    equal(sorted(served(box)), ["alpha"], "what is left")
    box.fails("rm", "beta", code=3, id="E-NO-MODEL")

    box.run("seed", "--stop")
    run = seeder.end(0)
    equal(run.result["summary"]["models"][0]["name"], "alpha", "the result")
    equal(box.run("ps", "--json").document["processes"], [], "nothing runs")
    box.fails("seed", "--stop", code=3, id="E-NOT-RUNNING")
    return paths[0]


def test_remembered(box, alpha):
    """Without arguments: what was seeded before, and without a read of it."""
    seeder = start(box)
    wait_state(box, "alpha", "seeding")
    seeder.stop()
    stages = [event for event in seeder.events if event["type"] == "stage"]
    check(not any(event["stage"] == "pieces" for event in stages),
          f"nothing is hashed again\n{seeder}")
    # A file that was touched is read again; one that changed is refused.
    weights = os.path.join(alpha, "weights.bin")
    os.utime(weights)
    seeder = start(box)
    seeder.wait_event("stage", stage="pieces", state="end", ok=True)
    wait_state(box, "alpha", "seeding")
    seeder.stop()
    size = os.path.getsize(weights)
    with open(weights, "r+b") as file:
        file.seek(1000)
        file.write(b"\xff\x00\xff")
    run = box.run("seed", *SERVE, code=6)
    contains(run.error["hint"], "not served", "the hint")
    equal(os.path.getsize(weights), size, "payload left alone")


def test_wrong_bytes_among_others(box):
    """F17: a scheduled re-hash finds bit rot; the others go on."""
    good, rotten = make(box, "good"), make(box, "rotten")
    seeder = start(box, good, rotten, "--scrub", "0.2s")
    wait_state(box, "good", "seeding")
    wait_state(box, "rotten", "seeding")
    weights = os.path.join(rotten, "weights.bin")
    before = os.stat(weights)
    with open(weights, "r+b") as file:
        file.seek(50_000)
        file.write(b"\x00\xff\x00")
    # Bit rot leaves no trace in the times.
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    warning = seeder.wait_event("warning", code="SEED_STOPPED")
    contains(warning["message"], "rotten", "who was stopped")
    equal(served(box)["rotten"]["state"], "failed", "its state")
    equal(served(box)["good"]["state"], "seeding", "the other's")
    seeder.stop()
    box.run("verify", rotten, code=6)
    # And never again without a read.
    seeder = start(box, good, rotten)
    seeder.wait_event("warning", code="SEED_STOPPED")
    seeder.stop()


def test_policy(box):
    """The last complete peer goes on; --stop-even-if-last stops; why is said."""
    path = make(box, "lonely")
    seeder = start(box, path, "--time", "0.5s")
    warning = seeder.wait_event("warning", code="LAST_COMPLETE_PEER")
    contains(warning["message"], "no other complete peer", "the reason")
    equal(served(box)["lonely"]["state"], "seeding", "it goes on")
    seeder.stop()
    # The clock goes on from the run before: half a second has passed.
    check(listed(box)["lonely"]["seed_seconds"] >= 0.5, "the clock is kept")
    run = box.run("seed", path, *SERVE, "--time", "0.5s",
                  "--stop-even-if-last")
    model = run.result["summary"]["models"][0]
    equal(model["state"], "ended", "it stopped")
    contains(model["reason"], "served for", "the reason")
    equal(listed(box)["lonely"]["seeding"], False, "and is not wanted again")


def test_kills(box):
    """Counters and clocks survive kill -9; the state always opens (F4)."""
    path = make(box, "killed")
    seconds = 0.0
    for _ in range(4):
        seeder = start(box, path)
        wait_state(box, "killed", "seeding")
        wait_until(lambda: sqlite_seconds(box, path) > seconds, "it is saved")
        seconds = sqlite_seconds(box, path)
        seeder.kill()
        check(listed(box)["killed"]["seed_seconds"] >= seconds,
              "the clock never goes back")
        equal(listed(box)["killed"]["seeding"], True, "still wanted")


def sqlite_seconds(box, path):
    state = os.path.join(box.env["XDG_STATE_HOME"], "lodestone/state.sqlite")
    with sqlite3.connect(f"file:{state}?mode=ro", uri=True) as database:
        rows = database.execute(
            "SELECT seed_seconds FROM seeds WHERE path=?", (path,)).fetchall()
    return rows[0][0] if rows else 0.0


def test_broken_state(box):
    """F6: a broken database is set aside, said, rebuilt; payload stays."""
    path = make(box, "kept")
    state = os.path.join(box.env["XDG_STATE_HOME"], "lodestone/state.sqlite")
    for suffix in ("-wal", "-shm"):
        if os.path.exists(state + suffix):
            os.unlink(state + suffix)
    write(state, b"not a database" * 1000)
    run = box.run("ls")
    contains(run.stderr, "set aside", "the warning")
    seeder = start(box, path)
    wait_state(box, "kept", "seeding")
    seeder.stop()
    check(os.path.exists(state + ".set-aside-1"), "kept for a look")


def test_metrics(box):
    path = make(box, "measured")
    seeder = box.start("seed", path, *SERVE, "--metrics", "127.0.0.1:0")
    endpoint = seeder.wait_event("listen", service="metrics")["endpoint"]
    wait_state(box, "measured", "seeding")

    def scrape(host=endpoint):
        connection = http.client.HTTPConnection(endpoint, timeout=10)
        connection.putrequest("GET", "/metrics", skip_host=True)
        connection.putheader("Host", host)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    line = ('lodestone_seed_size_bytes{model="measured",info_hash="%s"} %d'
            % (served(box)["measured"]["key"], tree_size(path)))
    wait_until(lambda: line in scrape()[1], "the size is served")
    contains(scrape()[1], "# TYPE lodestone_seed_uploaded_bytes_total counter",
             "the type")
    equal(scrape("evil.example")[0], 421, "G2: another Host")
    seeder.stop()
    box.fails("seed", path, "--metrics", "0.0.0.0:0", "--port", "0", *LOCAL,
              code=2, says="loopback")


def test_daemon(box):
    path = make(box, "background")
    run = box.run("seed", path, "--daemon", *SERVE)
    pid = run.result["summary"]["pid"]
    box.at_end(lambda: os.path.exists(f"/proc/{pid}") and
               os.kill(pid, signal.SIGKILL))
    wait_state(box, "background", "seeding")
    check(os.getsid(pid) != os.getsid(0), "a session of its own")
    check(os.path.getsize(run.result["summary"]["log"]) > 0, "a log")
    box.run("seed", "--stop")
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "it ends", 10)
    # What goes wrong at the start is said by the command that was typed.
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    box.fails("seed", path, "--daemon", "--port", taken.getsockname()[1],
              *LOCAL, code=12, id="E-PORT")


def test_notify_and_hangup(box):
    """Type=notify of systemd; F5: SIGHUP ends it as SIGTERM does."""
    path = make(box, "notified")
    address = box.path("notify.sock")
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(address)
    manager.settimeout(30)
    seeder = box.start("seed", path, *SERVE,
                       env={**box.env, "NOTIFY_SOCKET": address})
    equal(manager.recv(100), b"READY=1", "what it says first")
    wait_state(box, "notified", "seeding")
    seeder.stop(signal.SIGHUP, 143)
    equal(manager.recv(100), b"STOPPING=1", "what it says last")


def test_get_and_publish(box):
    """Fetched and published models are listed, and seeded without a read."""
    origin = make(box, "fetched")
    seeder = box.seed(origin)
    out = box.path("got")
    box.get(seeder.magnet, seeder, out, "--raw")
    seeder.stop()
    model = listed(box)["fetched"]
    equal(model["path"], os.path.join(out, "fetched"), "its path")
    own = make(box, "published")
    box.run("publish", own)
    check("published" in listed(box), "published is listed")
    seeder = start(box, "fetched", "published")
    wait_state(box, "fetched", "seeding")
    wait_state(box, "published", "seeding")
    seeder.stop()
    check(not any(event.get("stage") == "pieces" for event in seeder.events),
          f"nothing is hashed again\n{seeder}")
    shutil.rmtree(own)
    equal(listed(box)["published"]["present"], False, "missing is said")


def test(box):
    alpha = test_many_models(box)
    test_remembered(box, alpha)
    for part in (test_wrong_bytes_among_others, test_policy, test_kills,
                 test_broken_state, test_metrics, test_daemon,
                 test_notify_and_hangup, test_get_and_publish):
        # A user of their own for each.
        box.env = box.user(part.__name__)
        part(box)


main(test)
