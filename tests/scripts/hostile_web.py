# SPDX-License-Identifier: Apache-2.0
"""A web server for the payload of a torrent that serves the same files in many
ways, one for each first part of the path: /good/NAME/file, /wrong/NAME/file..."""
import collections
import http.server
import os
import re
import threading
import urllib.parse


class HostileWeb:
    """`elsewhere`: the server that the redirects lead to."""

    def __init__(self, root, elsewhere=None):
        self.root = root
        self.elsewhere = elsewhere
        self.requests = collections.Counter()  # by way
        self.sent = collections.Counter()      # body bytes by way
        self.credentials = []                  # what nobody should send
        self.ending = threading.Event()
        owner = self

        class Handler(_Handler):
            web = owner

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                                       Handler)
        self._server.daemon_threads = True
        self.origin = "http://127.0.0.1:%d" % self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever,
                         daemon=True).start()

    def url(self, way):
        return f"{self.origin}/{way}/"

    def close(self):
        self.ending.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    web = None

    def log_message(self, *_):
        pass

    def handle(self):
        try:
            super().handle()
        except ConnectionError:
            pass  # it had enough of us

    def do_GET(self):
        path = urllib.parse.unquote(self.path.partition("?")[0])
        way, _, self.file = path.lstrip("/").partition("/")
        self.quoted = urllib.parse.quote(self.file)
        self.way = way
        self.web.requests[way] += 1
        for name in ("Authorization", "Cookie"):
            if name in self.headers:
                self.web.credentials.append(self.headers[name])
        try:
            getattr(self, "way_" + way.replace("-", "_"))()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _content(self):
        with open(os.path.join(self.web.root, self.file), "rb") as file:
            return file.read()

    def _range(self, content):
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"])
        first, last = int(asked[1]), int(asked[2])
        assert first <= last < len(content), self.headers["Range"]
        return first, last

    def _write(self, data):
        self.wfile.write(data)
        self.web.sent[self.way] += len(data)

    def _head(self, status, length, **headers):
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def _part(self, change=lambda part: part, **headers):
        path = os.path.join(self.web.root, self.file)
        size = os.path.getsize(path)
        first, last = self._range(range(size))
        with open(path, "rb") as file:
            file.seek(first)
            part = change(file.read(last - first + 1))
        self._head(206, len(part),
                   Content_Range=f"bytes {first}-{last}/{size}",
                   **headers)
        self._write(part)

    def way_good(self):
        self._part()

    def way_wrong(self):
        self._part(lambda part: bytes(len(part)))

    def way_missing(self):
        body = b"no such file\n" * 20000
        self._head(404, len(body))
        self._write(body)

    def way_error(self):
        self._head(500, 5)
        self._write(b"oops\n")

    def way_busy(self):
        """Busy for the first request, good afterwards."""
        if self.web.requests["busy"] > 1:
            self._part()
            return
        self._head(503, 0, Retry_After="1")

    def way_html(self):
        body = b"<html><body>Please log in</body></html>"
        self._head(200, len(body), Content_Type="text/html")
        self._write(body)

    def way_whole(self):
        """200 and all of the file whatever is asked for."""
        content = self._content()
        self._head(200, len(content))
        self._write(content)

    def way_infinite(self):
        content = self._content()
        first, last = self._range(content)
        self._head(206, None, Transfer_Encoding="chunked",
                   Content_Range=f"bytes {first}-{last}/{len(content)}")
        chunk = bytes(65536)
        while not self.web.ending.is_set():
            self._write(b"10000\r\n" + chunk + b"\r\n")

    def way_long_header(self):
        self.send_response(206)
        while not self.web.ending.is_set():
            self.send_header("X-Junk", "x" * 8000)
            self.flush_headers()
            self.web.sent[self.way] += 8000

    def way_other_range(self):
        content = self._content()
        first, last = self._range(content)
        part = content[first:last + 1]
        self._head(206, len(part), Content_Range=
                   f"bytes {first + 1}-{last + 1}/{len(content) + 1}")
        self._write(part)

    def way_gzip(self):
        self._part(Content_Encoding="gzip")

    def way_cut(self):
        """Breaks off after 100,000 bytes."""
        content = self._content()
        first, last = self._range(content)
        self._head(206, last - first + 1,
                   Content_Range=f"bytes {first}-{last}/{len(content)}")
        self._write(content[first:last + 1][:100_000])
        self.wfile.flush()
        self.close_connection = True

    def way_drip(self):
        content = self._content()
        first, last = self._range(content)
        self._head(206, last - first + 1,
                   Content_Range=f"bytes {first}-{last}/{len(content)}")
        for byte in content[first:last + 1]:
            if self.web.ending.wait(0.5):
                return
            self._write(bytes([byte]))
            self.wfile.flush()

    def _go(self, target):
        self._head(302, 0, Location=target)

    def way_redirect_home(self):
        self._go(f"/good/{self.quoted}")

    def way_redirect_loopback(self):
        self._go(f"{self.web.elsewhere.origin}/good/{self.quoted}")

    def way_redirect_lan(self):
        self._go(f"http://192.168.77.7/good/{self.quoted}")

    def way_redirect_cloud(self):
        self._go("http://169.254.169.254/latest/meta-data/")

    def way_redirect_login(self):
        host = self.web.origin.partition("//")[2]
        self._go(f"http://me:secret@{host}/good/{self.quoted}")

    def way_redirect_file(self):
        self._go("file:///etc/passwd")

    def way_redirect_loop(self):
        self._go(self.path)
