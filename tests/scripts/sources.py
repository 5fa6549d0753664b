# SPDX-License-Identifier: Apache-2.0
"""A .torrent by its URL, from servers on loopback that behave and that do
not. What a redirect must not reach is a server of its own, which counts."""
import http.server
import os
import threading

import hostile
from harness import LOCAL, bare, check, contains, equal, main, read, write


class Server:
    """Answers by the path; remembers what it was asked."""

    def __init__(self, box, answers):
        self.asked = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append(self.path)
                status, headers, body = answers.get(self.path,
                                                    (404, {}, b"not here"))
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if "Content-Length" not in headers:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                try:
                    self.wfile.write(body)
                except OSError:
                    pass  # the reader had enough

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = "http://127.0.0.1:%d" % self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        box.at_end(self.server.shutdown)


def test(box):
    demo = box.demo()
    torrent = box.path("demo.torrent")
    run = box.run("publish", demo, "--output", torrent, "--json",
                  env=box.user("publisher"))
    magnet = run.result["summary"]["magnet"]
    data = read(torrent)
    inner = Server(box, {"/secret.torrent": (200, {}, data)})
    big = b"d4:info" + b"x" * (17 << 20)
    answers = {
        "/demo.torrent": (200, {}, data),
        "/moved": (302, {"Location": "/demo.torrent"}, b""),
        "/inward": (302, {"Location": inner.url + "/secret.torrent"}, b""),
        "/metadata": (302, {"Location": "http://169.254.169.254/latest"}, b""),
        "/file": (302, {"Location": "file:///etc/passwd"}, b""),
        "/login": (302, {"Location": "http://u:p@example.org/x"}, b""),
        "/loop": (302, {"Location": "/loop"}, b""),
        "/page": (200, {}, b"\n<!DOCTYPE html><title>Not here</title>"),
        "/junk": (200, {}, b"\x00\x01junk"),
        "/empty": (200, {}, b""),
        "/big": (200, {}, big),
        "/cut": (200, {"Content-Length": str(len(data) + 10)}, data),
        "/parent": (200, {}, hostile.torrent([(("..", "evil"), 5)])),
        "/broken": (500, {}, b""),
    }
    server = Server(box, answers)

    # Fetched: by a URL that is local, because the user typed it.
    seeder = box.seed(demo)
    run = box.get(server.url + "/demo.torrent", seeder, box.path("out"))
    equal(run.last_line, box.path("out", "demo"), "last line")
    seeder.stop()
    told = box.run("inspect", server.url + "/demo.torrent", "--json").document
    equal(bare(told["magnet"]), bare(magnet), "magnet")
    equal(told["kind"], "torrent", "kind")

    def refused(path, code, id, says):
        return box.fails("get", server.url + path, "--output", box.path("no"),
                         *LOCAL, code=code, id=id, says=says)

    refused("/nowhere", 4, "E-FETCH", "status 404")
    refused("/broken", 4, "E-FETCH", "status 500")
    refused("/cut", 4, "E-FETCH", "/cut")
    refused("/page", 8, "E-TORRENT", "is a web page")
    refused("/junk", 8, "E-TORRENT", "/junk")
    refused("/empty", 8, "E-TORRENT", "/empty")
    refused("/parent", 8, "E-PATH", "..")
    refused("/big", 8, "E-FETCH", "more than 16777216 bytes")
    # No redirect leads into this machine or its network.
    refused("/inward", 4, "E-FETCH", "127.0.0.1")
    refused("/moved", 4, "E-FETCH", "is not followed")
    equal(inner.asked, [], "requests that reached the inner server")
    refused("/metadata", 4, "E-FETCH", "169.254.169.254")
    refused("/file", 4, "E-FETCH", "is not followed")
    refused("/login", 4, "E-FETCH", "is not followed")
    # But where the user allows it.
    told = box.run("inspect", server.url + "/moved", "--allow-local",
                   "--json").document
    equal(bare(told["magnet"]), bare(magnet), "magnet behind a redirect")
    box.fails("inspect", server.url + "/loop", "--allow-local", code=4,
              id="E-FETCH", says="more than 5 redirects")
    equal(server.asked.count("/loop"), 12, "requests in two loops")
    box.fails("inspect", "http://me:pw@127.0.0.1/x", code=2, says="password")
    box.fails("inspect", "http://127.0.0.1:1/x", code=4, id="E-FETCH")

    # Through a proxy that the environment or a flag names: it is asked, with
    # the whole address, and nobody else.
    target = "http://torrents.example.org/demo.torrent"
    proxy = Server(box, {target: (200, {}, data)})
    told = box.run("inspect", target, "--json",
                   env=dict(box.env, http_proxy=proxy.url)).document
    equal(bare(told["magnet"]), bare(magnet), "magnet through a proxy")
    equal(proxy.asked, [target], "requests to the proxy")

    # Other forms: v2 and hybrid links and hashes, a path with a slash.
    both = box.run("publish", demo, "--format", "hybrid", "--output",
                   box.path("h.torrent"), "--json",
                   env=box.user("publisher")).result["summary"]
    v2 = both["info_hash_v2"]
    for text in (v2, "1220" + v2, "magnet:?xt=urn:btmh:1220" + v2):
        told = box.run("inspect", text, "--json").document
        equal((told["info_hash_v1"], told["info_hash_v2"]), (None, v2), text)
    told = box.run("inspect", "./h.torrent", "--json").document
    equal((told["info_hash_v1"], told["info_hash_v2"]),
          (both["info_hash_v1"], v2), "hashes of a hybrid")
    equal({file["path"]: file["bytes"] for file in told["files"]},
          {name: os.path.getsize(os.path.join(demo, name))
           for name in os.listdir(demo)}, "files")
    # A5: a v1 link is fetched and its anchor called weak, or not fetched.
    os.remove(os.path.join(demo, "RELEASE"))
    weak = box.seed(demo, env=box.user("weak"))
    run = box.get(weak.magnet, weak, box.path("v1"), "--require-v2", code=10)
    contains(run.stderr, "SHA-1 is a weak anchor", "A5, refused")
    check(not os.path.exists(box.path("v1", "demo")), "A5, fetched")
    run = box.get(weak.magnet, weak, box.path("v1"), "--raw")
    contains(run.stderr, "v1 pieces only (weak anchor, SHA-1)", "A5, fetched")
    weak.stop()
    # A name of the catalogue is not a file of that name, unless it is said.
    write(box.path("grok-1"), data)
    equal(box.run("inspect", "grok-1", "--json").document["kind"], "catalogue",
          "kind")
    equal(box.run("inspect", "./grok-1", "--json").document["kind"], "torrent",
          "kind")
    box.fails("get", "mixtral-8x7", "--output", box.path("no"), code=3,
              id="E-SOURCE", says="did you mean mixtral-8x7b-v0.1?")
    check(not os.path.exists(box.path("no", "model")), "something was written")
    contains(box.run("get", "grok-1", code=2).stderr, "E-CONFIRM", "consent")


main(test)
