# SPDX-License-Identifier: Apache-2.0
"""What a running process can be asked, and by whom: group G. The metrics
server speaks HTTP on loopback; the control socket takes JSON lines from the
same user."""
import json
import os
import resource
import socket
import stat

from harness import (LOCAL, check, contains, equal, flip_byte, main,
                     wait_until, write)

SERVE = ("--port", "0", *LOCAL, "--json")
TOKEN = "correct-horse-battery-staple"


def make(box, name, size):
    path = box.path("models", name)
    os.makedirs(path)
    write(os.path.join(path, "weights.bin"),
          bytes((i * 37 + size) & 255 for i in range(size)))
    return path


class Web:
    """Requests as bytes, so that they may be wrong in any way."""

    def __init__(self, endpoint):
        self.endpoint = endpoint
        host, _, port = endpoint.rpartition(":")
        self.address = (host.strip("[]"), int(port))

    def connect(self):
        return socket.create_connection(self.address, timeout=20)

    def send(self, data):
        """What comes back until the end."""
        with self.connect() as peer:
            try:
                peer.sendall(data)
            except OSError:
                pass  # refused before all was said
            answer = b""
            while True:
                try:
                    part = peer.recv(65536)
                except ConnectionResetError:
                    break
                if not part:
                    break
                answer += part
            return answer.decode("latin-1")

    def ask(self, *headers, method="GET", target="/metrics", host=None,
            body=b""):
        lines = [f"{method} {target} HTTP/1.1",
                 f"Host: {self.endpoint if host is None else host}", *headers]
        answer = self.send("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        check("access-control" not in answer.lower(),
              f"G3: a CORS header\n{answer}")
        return answer

    def status(self, *headers, **more):
        answer = self.ask(*headers, **more)
        return int(answer.split()[1]) if answer else None


def with_token(box, path, listen="127.0.0.1:0"):
    token = write(box.path("token"), TOKEN + "\n")
    os.chmod(token, 0o600)
    seeder = box.start("seed", path, *SERVE, "--metrics", listen,
                       "--metrics-token-file", token)
    return seeder, Web(seeder.wait_event("listen",
                                         service="metrics")["endpoint"])


def test_token(box, path):
    """G1."""
    seeder, web = with_token(box, path)
    right = "Authorization: Bearer " + TOKEN
    equal(web.status(right), 200, "G1: the token")
    equal(web.status(right, target="/metrics?a=b"), 404, "G1: another path")
    answer = web.ask()
    contains(answer, "401 Unauthorized", "G1: no token")
    contains(answer, "WWW-Authenticate: Bearer", "G1: how to show it")
    check("lodestone_" not in answer, f"G1: told without a token\n{answer}")
    for target in (f"/metrics?token={TOKEN}", f"/metrics?access_token={TOKEN}",
                   f"/{TOKEN}/metrics", f"http://x:{TOKEN}@{web.endpoint}/"):
        equal(web.status(target=target), 401, f"G1: token in the URL {target}")
    equal(web.status("Authorization: Bearer wrong"), 401, "G1: wrong token")
    # Guessing ends for everybody, for a while.
    wait_until(lambda: web.status("Authorization: Bearer guess") == 429,
               "G1: guessing is bounded")
    answer = web.ask(right)
    contains(answer, "429 ", "G1: nor does the right one get in now")
    contains(answer, "Retry-After: ", "G1: until when")
    seeder.stop()
    # A token that others can read is none.
    token = box.path("token")
    os.chmod(token, 0o644)
    box.fails("seed", path, "--metrics", "127.0.0.1:0", "--metrics-token-file",
              token, "--port", "0", *LOCAL, code=2, id="E-TOKEN",
              says="chmod 600")
    os.chmod(token, 0o600)
    # G7: a token alone does not carry it beyond this machine.
    for listen in ("0.0.0.0:0", "[::]:0", "192.0.2.1:9464"):
        for more in ((), ("--metrics-token-file", token)):
            box.fails("seed", path, "--metrics", listen, *more, "--port", "0",
                      *LOCAL, code=2, says="loopback")


def test_hosts_and_pages(box, path):
    """G2, G3."""
    seeder = box.start("seed", path, *SERVE, "--metrics", "127.0.0.1:0")
    web = Web(seeder.wait_event("listen", service="metrics")["endpoint"])
    port = web.address[1]
    equal(web.status(), 200, "its own name")
    for host in ("evil.example", f"evil.example:{port}", "127.0.0.1",
                 f"127.0.0.1:{port + 1}", f"127.0.0.1:{port}.evil.example",
                 f"127.1:{port}", f"2130706433:{port}", f"0x7f000001:{port}",
                 f"[::ffff:127.0.0.1]:{port}", f"[::1]:{port}",
                 f"127.0.0.1:{port}@evil.example", f"127.0.0.1:0{port}",
                 f"localhost.:{port}", ""):
        equal(web.status(host=host), 421, f"G2: Host {host!r}")
    check("421" in web.send(b"GET /metrics HTTP/1.1\r\n\r\n"), "G2: no Host")
    check("421" in web.send(b"GET /metrics HTTP/1.0\r\n\r\n"), "G2: no Host")
    equal(web.status("Host: evil.example"), 421, "G2: two hosts")
    # A target that names another server is no way round it.
    equal(web.status(target="http://evil.example/metrics",
                     host="evil.example"), 421, "G2: absolute form")

    foreign = "Origin: http://evil.example"
    for origin in (foreign, "Origin: null", f"Origin: http://{web.endpoint}"):
        equal(web.status(origin), 403, f"G3: {origin}")
    equal(web.status(foreign, "Access-Control-Request-Method: POST",
                     method="OPTIONS"), 403, "G3: preflight")
    for kind in ("text/plain", "application/x-www-form-urlencoded",
                 "multipart/form-data; boundary=x", "application/json"):
        equal(web.status(foreign, f"Content-Type: {kind}", "Content-Length: 2",
                         method="POST", body=b"{}"), 403, f"G3: {kind}")
        equal(web.status(f"Content-Type: {kind}", "Content-Length: 2",
                         method="POST", body=b"{}"), 405,
              f"G3: nothing is posted here, {kind}")
    seeder.stop()
    # The same by its address in version 6.
    seeder = box.start("seed", path, *SERVE, "--metrics", "[::1]:0")
    web = Web(seeder.wait_event("listen", service="metrics")["endpoint"])
    equal(web.status(), 200, "its own name")
    port = web.address[1]
    for host in (f"[0:0:0:0:0:0:0:1]:{port}", f"::1:{port}",
                 f"127.0.0.1:{port}", f"[::1%25lo]:{port}"):
        equal(web.status(host=host), 421, f"G2: Host {host!r}")
    seeder.stop()


def test_floods(box, path):
    """G4."""
    seeder = box.start("seed", path, *SERVE, "--metrics", "127.0.0.1:0")
    web = Web(seeder.wait_event("listen", service="metrics")["endpoint"])
    start = f"POST /metrics HTTP/1.1\r\nHost: {web.endpoint}\r\n".encode()
    length = b"Content-Length: 1000000000\r\n\r\n"
    contains(web.send(start + length), "413 ", "G4: a gigabyte is announced")
    answer = web.send(start + length + bytes(1 << 20))
    check(answer == "" or " 413 " in answer, f"G4: and begun: {answer[:60]}")
    contains(web.send(start + b"".join(b"X-%d: %s\r\n" % (i, b"x" * 90)
                                       for i in range(2000))), "431 ",
             "G4: many headers")
    chunked = start + b"Transfer-Encoding: chunked\r\n\r\n"
    for lie, codes in ((b"FFFFFFFFFFFFFFFF\r\nx", ("413", "400")),
                       (b"7fffffff\r\nx", ("413", "400")),
                       (b"zz\r\nx", ("400",)),
                       (b"-1\r\nx", ("400",)),
                       (b"1\r\nxyz\r\n", ("400",)),
                       (b"".join(b"400\r\n%s\r\n" % bytes(1024)
                                 for _ in range(8)), ("413",))):
        answer = web.send(chunked + lie)
        check(answer.split(" ")[1:2] and answer.split(" ")[1] in codes,
              f"G4: chunks that lie, {lie[:20]}: {answer[:60]!r}")
    both = (start + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"
            b"0\r\n\r\n")
    check(not web.send(both).startswith("HTTP/1.1 2"), "G4: two lengths")

    # Who says nothing, or says it slowly, keeps nobody out.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    slow = []
    for number in range(10_000):
        if len(slow) == 1000:
            # Others are served meanwhile.
            equal(web.status(), 200, f"G4: after {number} connections")
            for peer in slow:
                peer.close()
            slow.clear()
        peer = web.connect()
        peer.send(b"GET /metrics HTTP/1.1\r\nHost: ")
        slow.append(peer)
    equal(web.status(), 200, "G4: among a thousand slow ones")
    # They are closed, not kept for ever.
    slow[-1].settimeout(30)
    try:
        equal(slow[-1].recv(100), b"", "G4: the slow one is closed")
    except ConnectionResetError:
        pass
    for peer in slow:
        peer.close()
    equal(web.status(), 200, "G4: in the end")
    with open(f"/proc/{seeder.pid}/status", encoding="ascii") as file:
        resident = [line for line in file if line.startswith("VmRSS")]
    check(int(resident[0].split()[1]) < 300_000, f"G4: memory {resident}")
    seeder.stop()


class Control:
    def __init__(self, box):
        self.path = os.path.join(box.env["XDG_RUNTIME_DIR"], "lodestone",
                                 "seed.sock")

    def send(self, line):
        if not isinstance(line, bytes):
            line = json.dumps(line).encode()
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(20)
            peer.connect(self.path)
            try:
                peer.sendall(line + b"\n")
                peer.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # refused before all was said
            answer = b""
            while True:
                try:
                    part = peer.recv(65536)
                except ConnectionResetError:
                    break
                if not part:
                    break
                answer += part
        return [json.loads(part) for part in answer.splitlines()]

    def refused(self, line, what, code=None):
        answers = self.send(line)
        check(answers and answers[0].get("ok") is False, f"{what}: {answers}")
        if code is not None:
            equal(answers[0]["error"]["code"], code, what)

    def models(self):
        return self.send({"verb": "list"})[0]["models"]


def test_control(box, path):
    """G1, G5, G6, G8, G9."""
    seeder = box.start("seed", path, *SERVE)
    seeder.wait_event("listen")
    control = Control(box)
    equal(stat.S_IMODE(os.stat(control.path).st_mode), 0o600, "G1: the socket")
    equal(stat.S_IMODE(os.stat(os.path.dirname(control.path)).st_mode), 0o700,
          "G1: its folder")
    wait_until(lambda: control.models()[0]["state"] == "seeding", "it serves")

    # G5: a place is named as it is, or not at all.
    good = make(box, "second", 50_000)
    link = box.path("models", "link")
    os.symlink("/etc", link)
    for bad in ("../../etc", "models/second", "", "~/models", "file://" + good,
                good + "/", good + "/../second", "/" + good, good + "/.",
                link, link + "/ssl", "magnet:?xt=urn:btih:" + "0" * 40,
                "http://example.org/x", "\u0000", good + "\u0000"):
        control.refused({"verb": "add", "path": bad}, f"G5: {bad!r}", "E-PATH")
    control.refused({"verb": "add", "path": 7}, "G5: a number")
    control.refused({"verb": "add", "path": [good]}, "G5: a list")
    control.refused({"verb": "add", "path": box.path("models", "absent")},
                    "G5: nothing there")
    equal(len(control.models()), 1, "G5: nothing was added")

    # G6: JSON that two readers could take for two things, or that is too much.
    for line, what in (
            (b'{"verb":"list","verb":"stop"}', "a key twice"),
            (b'{"verb":"stop","\\u0076erb":"list"}', "a key twice, escaped"),
            (b"[" * 60_000, "depth"), (b'{"a":' * 12_000, "depth"),
            (b'{"verb":"li\xffst"}', "invalid UTF-8"),
            (b'{"verb":"limits","up":1e400}', "a huge number"),
            (b'{"verb":"limits","up":18446744073709551616}', "2^64"),
            (b'{"verb":"limits","up":-1}', "a negative number"),
            (b'{"verb":"limits","up":1.5}', "a fraction"),
            (b'{"verb":"limits","up":NaN}', "no number"),
            (b'{"verb":"list"}{"verb":"stop"}', "two values"),
            (b"[" + b'{"verb":"stop"},' * 3000 + b"{}]", "a batch"),
            (b'{"verb":"list","x":"' + b"x" * 1_000_000 + b'"}', "1 MB"),
            (b'{"verb":["stop"]}', "a verb of another type"),
            (b'{"verb":"STOP"}', "another verb"), (b"{}", "no verb"),
            (b"null", "null"), (b"stop", "no JSON")):
        control.refused(line, f"G6: {what}")
    lines = control.send(b"\n".join([b'{"verb":"list"}'] * 2000))
    check(len(lines) == 2000 and all(line["ok"] for line in lines),
          f"G6: a long row of requests: {len(lines)} answers")

    # G9: nobody can say of bytes that they are right.
    box.run("publish", good)
    flip_byte(os.path.join(good, "weights.bin"), 25_000)
    for claim in ("verified", "skip_check", "level", "torrent", "state"):
        control.refused({"verb": "add", "path": good, claim: True},
                        f"G9: {claim}", "E-CONTROL-FIELD")
    check(control.send({"verb": "add", "path": good})[0]["ok"], "G9: added")

    def second():
        return {model["name"]: model for model in control.models()}["second"]

    wait_until(lambda: second()["state"] == "failed", "G9: found wrong")
    contains(second()["error"], "piece 1 differs", "G9: and why")
    for verb in ("resume", "pause", "resume"):
        control.send({"verb": verb, "name": good})
        check(second()["state"] not in ("seeding", "paused"),
              f"G9: {verb} made it {second()['state']}")
    flip_byte(os.path.join(good, "weights.bin"), 25_000)
    control.send({"verb": "recheck", "name": good})
    wait_until(lambda: second()["state"] == "seeding", "G9: right again")
    seeder.stop()
    check(not os.path.exists(control.path), "G8: the socket is gone")


def test(box):
    path = make(box, "first", 100_000)
    test_control(box, path)
    test_token(box, path)
    test_hosts_and_pages(box, path)
    test_floods(box, path)


main(test)
