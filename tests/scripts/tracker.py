# SPDX-License-Identifier: Apache-2.0
"""`lodestone tracker`: what it says to strangers who send junk, and a swarm of
Lodestone and aria2 that finds itself through it."""
import contextlib
import socket

import hostile
from counterparts import aria2
from harness import (LOCAL, check, contains, equal, free_port, main, needs,
                     read, same_tree)

HASH = "%aa" * 20
ANNOUNCE = (f"/announce?info_hash={HASH}&peer_id={'p' * 20}&uploaded=0"
            "&downloaded=0")


class OurTracker:
    def __init__(self, box, *args):
        self.process = box.start("tracker", "--port", "0", *args, "--json")
        self.announce = self.process.wait_event("listen")["endpoint"]
        self.port = int(self.announce.split(":")[2].split("/")[0])

    def raw(self, request):
        """What comes back for those bytes until it hangs up."""
        with socket.create_connection(("127.0.0.1", self.port), 20) as peer:
            answer = b""
            # It may answer and hang up before it has read everything.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                peer.sendall(request)
            with contextlib.suppress(OSError):
                peer.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                while part := peer.recv(65536):
                    answer += part
        return answer

    def get(self, target):
        answer = self.raw(f"GET {target} HTTP/1.1\r\nHost: x\r\n"
                          "Connection: close\r\n\r\n".encode("latin-1"))
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), body


def answers_announces(tracker):
    status, body = tracker.get(ANNOUNCE + "&port=1001&left=5&event=started")
    equal(status, 200, "status")
    equal(body, b"d8:completei0e10:downloadedi0e10:incompletei1e"
          b"8:intervali300e12:min intervali60e5:peers0:e", "first announce")
    _, body = tracker.get(ANNOUNCE + "&port=1002&left=0")
    contains(body, b"5:peers6:\x7f\x00\x00\x01\x03\xe9", "second announce")
    _, body = tracker.get(f"/scrape?info_hash={HASH}")
    equal(body, b"d5:filesd20:" + b"\xaa" * 20 + b"d8:completei1e"
          b"10:downloadedi0e10:incompletei1eeee", "scrape")
    _, body = tracker.get("/")
    contains(body, b"peers 2\n", "page")
    # Two requests on one connection.
    target = ANNOUNCE + "&port=1001&left=5&event=stopped"
    one = f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    equal(tracker.raw(one + one).count(b"HTTP/1.1 200"), 2, "answers")


def survives_junk(tracker):
    """Every refusal is bencoded and none is the server's fault."""
    for target in ("/announce", "/announce?info_hash=short&port=1",
                   "/announce?info_hash=%a", f"/announce?info_hash={HASH}",
                   ANNOUNCE + "&port=0", ANNOUNCE + "&port=1&left=-7",
                   "/scrape", "/scrape?info_hash=%zz",
                   "/scrape?" + f"info_hash={HASH}&" * 75, "/other",
                   "/announce?\xff\xfe=%00"):
        status, body = tracker.get(target)
        check(body.startswith(b"d14:failure reason"), f"{target}: {body!r}")
        check(status < 500, f"{target}: {status}")
    for request in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20,
                    b"\x13BitTorrent protocol" + bytes(48), b"GET\r\n\r\n",
                    b"GET / HTTP/9.9\r\n\r\n",
                    b"POST /announce HTTP/1.1\r\nHost: x\r\n"
                    b"Connection: close\r\nContent-Length: 0\r\n\r\n",
                    b"GET /" + b"a" * 60000 + b" HTTP/1.1\r\n\r\n",
                    b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 9000,
                    b"GET / HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n"):
        try:
            answer = tracker.raw(request)
        except (ConnectionResetError, BrokenPipeError):
            continue  # hung up on before we were done
        if answer:
            contains(answer, b"d14:failure reason", f"for {request[:30]!r}")
            check(answer.split()[1][:1] == b"4", f"{answer[:60]!r}")
    # Those who say nothing keep nobody out.
    silent = [socket.create_connection(("127.0.0.1", tracker.port))
              for _ in range(50)]
    equal(tracker.get("/")[0], 200, "status beside silent connections")
    for peer in silent:
        peer.close()


def joins_a_swarm(box, tracker):
    needs("aria2c")
    origin = box.demo()
    torrent = box.run("publish", origin, "--output", box.path("demo.torrent"),
                      "--tracker", tracker.announce,
                      env=box.user("publisher")).last_line
    box.seed(origin, "--torrent", torrent, "--allow-local", "--tracker",
             tracker.announce)
    client = aria2(box, "--dir", box.path("aria2"), "--seed-time=0",
                   f"--listen-port={free_port()}", torrent)
    client.end(0)
    same_tree(box.path("aria2", "demo"), origin)
    magnet = "magnet:?xt=urn:btih:" + hostile.info_hash(read(torrent))
    box.run("get", magnet, "--output", box.path("got"), "--tracker",
            tracker.announce, "--allow-local", "--port", "0", *LOCAL,
            env=box.user("fetcher"))
    same_tree(box.path("got", "demo"), origin)


def serves_only_what_it_should(box):
    tracker = OurTracker(box, "--only", "bb" * 32)
    _, body = tracker.get(ANNOUNCE + "&port=1&left=0")
    contains(body, b"14:failure reason", "a swarm that is not served")
    _, body = tracker.get(ANNOUNCE.replace("aa", "bb") + "&port=1&left=0")
    contains(body, b"8:completei1e", "a swarm that is served")
    # A taken port is said, and nothing else happens.
    box.fails("tracker", "--port", tracker.port, code=12, id="E-PORT")
    tracker.process.stop()


def test(box):
    box.fails("tracker", "--listen", "nowhere", code=2, id="E-USAGE")
    box.fails("tracker", "--only", "xyz", code=2, id="E-USAGE")
    tracker = OurTracker(box)
    answers_announces(tracker)
    survives_junk(tracker)
    joins_a_swarm(box, tracker)
    tracker.process.wait_event("progress", stage="tracker")
    run = tracker.process.stop()
    check(run.result["summary"]["announces"] > 10, f"announces\n{run}")
    serves_only_what_it_should(box)


main(test)
