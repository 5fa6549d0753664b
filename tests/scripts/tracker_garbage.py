# SPDX-License-Identifier: Apache-2.0
"""B6: trackers that answer with garbage, a gzip bomb, ten megabytes, a loop of
redirects or another's certificate are warned of, and the next one is asked.
Memory stays small."""
import gzip
import http.server
import os
import resource
import socket
import ssl
import struct
import subprocess
import threading

from harness import (bare, check, equal, is_sanitized, main, needs,
                     same_tree)

MB = 1 << 20


def serve(answer, context=None):
    """An http server on loopback whose every answer `answer` writes."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            server.requests += 1
            try:
                answer(self)
            except OSError:
                pass  # they hang up on what they do not want

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.requests = 0
    server.daemon_threads = True
    # A client that breaks off a handshake is no news.
    server.handle_error = lambda *_: None
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def body(data, **headers):
    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(data)
    return answer


def redirect(handler):
    handler.send_response(302)
    handler.send_header(
        "Location",
        f"http://127.0.0.1:{handler.server.server_address[1]}/announce")
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def peers(seeder_port):
    """One compact peer (BEP 23), asked for again in a minute."""
    peer = socket.inet_aton("127.0.0.1") + struct.pack("!H", seeder_port)
    return b"d8:intervali60e5:peers6:" + peer + b"e"


def self_signed(box):
    needs("openssl")
    key, certificate = box.path("key.pem"), box.path("cert.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days",
         "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, stderr=subprocess.DEVNULL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def test(box):
    origin = box.demo()
    magnet = bare(box.run("publish", origin, "--output",
                          box.path("demo.torrent"), "--json",
                          env=box.user("publisher")).result["summary"]
                  ["magnet"])
    seeder = box.seed(origin)
    good_answer = peers(seeder.port)
    # About 1 MB on the wire, 1 GB unpacked.
    bomb = gzip.compress(bytes(64 * MB), 9) * 16
    bad = {
        "garbage": serve(body(os.urandom(4096))),
        "deep": serve(body(b"l" * 100_000)),
        "long number": serve(body(b"d8:intervali" + b"9" * 5000 + b"ee")),
        "peers cut": serve(body(good_answer[:-4])),
        "empty": serve(body(b"")),
        "bomb": serve(body(bomb, Content_Encoding="gzip")),
        "ten megabytes": serve(body(b"d5:peers10485760:" + bytes(10 * MB))),
        "loop": serve(redirect),
        # What it says would be right: it must not be believed.
        "certificate": serve(body(good_answer), self_signed(box)),
    }
    schemes = {name: "https" if name == "certificate" else "http"
               for name in bad}
    urls = {name: f"{schemes[name]}://127.0.0.1:{server.server_address[1]}"
                  "/announce" for name, server in bad.items()}
    local = ("--listen", "127.0.0.1", "--no-dht", "--no-lsd", "--port", "0")
    trackers = [part for url in urls.values() for part in ("--tracker", url)]

    # None of them brings a peer, each is warned of, none does harm.
    run = box.run("get", magnet, "--output", box.path("none"), *local,
                  *trackers, "--timeout", "20s", "--json", code=4)
    equal(run.error["code"], "E-NO-PEERS", f"{run}")
    warned = "\n".join(event["message"] for event in run.of_type("warning")
                       if event["code"] == "TRACKER_FAILED")
    for name, url in urls.items():
        check(url in warned, f"not warned of {name}\n{run}")
        if name != "certificate":
            check(bad[name].requests > 0, f"{name} was not asked")
    equal(bad["certificate"].requests, 0, "requests to the impostor")
    check(bad["loop"].requests < 50, f"{bad['loop'].requests} redirects")

    # And with them, the one that is right is asked.
    good = serve(body(good_answer))
    box.run("get", magnet, "--output", box.path("fetched"), "--raw", *local,
            *trackers, "--tracker",
            f"http://127.0.0.1:{good.server_address[1]}/announce")
    same_tree(box.path("fetched", "demo"), origin)
    peak_kb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    most_kb = (800 if is_sanitized() else 200) * 1024
    check(peak_kb < most_kb, f"{peak_kb} KiB of memory at the most")


main(test)
