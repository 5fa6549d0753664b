# SPDX-License-Identifier: Apache-2.0
"""Other programs that speak BitTorrent, as counterparts: a tracker, aria2,
Transmission, qBittorrent."""
import json
import os
import urllib.error
import urllib.request

from harness import equal, needs, needs_root, tree, wait_until

PROBE = "5a" * 20


class Tracker:
    """opentracker. Debian's build serves a list of info-hashes only."""

    def __init__(self, box, address, port, info_hashes, wrap=()):
        needs("opentracker")
        # It insists on leaving root and its folder behind.
        needs_root()
        folder = box.path("tracker")
        os.makedirs(folder)
        for part in (box.folder, folder):
            os.chmod(part, 0o755)
        with open(os.path.join(folder, "list"), "w", encoding="ascii") as file:
            for info_hash in (*info_hashes, PROBE):
                file.write(info_hash + "\n")
        self.announce = f"http://{address}:{port}/announce"
        box.spawn([*wrap, "opentracker", "-i", address, "-p", port, "-P", port,
                   "-d", folder, "-u", "nobody", "-w", "list"])
        wait_until(self._serves, "the tracker serves")

    def _serves(self):
        query = ("?info_hash=" + "%5a" * 20 + "&peer_id=" + "p" * 20 +
                 "&port=1&left=0&uploaded=0&downloaded=0&compact=1")
        try:
            with urllib.request.urlopen(self.announce + query) as answer:
                return b"5:peers" in answer.read()
        except (urllib.error.URLError, OSError):
            return False


def aria2(box, *args, wrap=()):
    """aria2c in the background, alone with what it is given."""
    needs("aria2c")
    return box.spawn(
        [*wrap, "aria2c", "--no-conf=true", "--enable-color=false",
         "--enable-dht=false",
         "--enable-dht6=false", "--bt-enable-lpd=false",
         "--enable-peer-exchange=false", "--disable-ipv6=true",
         "--file-allocation=none", "--summary-interval=0", "--enable-color=false",
         "--console-log-level=notice", "--interface=127.0.0.1",
         "--bt-tracker-interval=1", "--allow-overwrite=true", *args])


class Transmission:
    """transmission-daemon in a network namespace, told what to do by RPC
    through a command that runs there."""

    def __init__(self, box, name, address, peer_port, rpc_port, wrap):
        needs("transmission-daemon")
        self._run_there = wrap
        self._url = f"http://{address}:{rpc_port}/transmission/rpc"
        self.downloads = box.path(name, "downloads")
        config = box.path(name, "config")
        for folder in (self.downloads, config):
            os.makedirs(folder)
        settings = {
            "bind-address-ipv4": address, "peer-port": peer_port,
            "port-forwarding-enabled": False, "dht-enabled": False,
            "pex-enabled": False, "lpd-enabled": False, "utp-enabled": False,
            "rpc-bind-address": address, "rpc-port": rpc_port,
            "rpc-whitelist-enabled": False,
            "rpc-host-whitelist-enabled": False,
            "rpc-authentication-required": False,
            "download-dir": self.downloads, "incomplete-dir-enabled": False,
            "speed-limit-down-enabled": False,
            "speed-limit-up-enabled": False, "ratio-limit-enabled": False,
        }
        with open(os.path.join(config, "settings.json"), "w",
                  encoding="ascii") as file:
            json.dump(settings, file)
        self.process = box.spawn(
            [*wrap, "transmission-daemon", "--foreground", "--config-dir",
             config])
        self._session = ""
        wait_until(lambda: self._try("session-get"), "transmission answers")

    def _try(self, method, **arguments):
        try:
            return self.call(method, **arguments)
        except (urllib.error.URLError, OSError):
            return None

    def call(self, method, **arguments):
        body = json.dumps({"method": method, "arguments": arguments}).encode()
        for _ in range(2):
            request = urllib.request.Request(
                self._url, body, {"X-Transmission-Session-Id": self._session})
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    reply = json.load(answer)
            except urllib.error.HTTPError as refused:
                # The way of this API: it names the token to come again with.
                if refused.code != 409:
                    raise
                self._session = refused.headers["X-Transmission-Session-Id"]
                continue
            assert reply["result"] == "success", reply
            return reply["arguments"]
        raise urllib.error.URLError("no session id")

    def add(self, torrent_file, folder=None):
        import base64
        with open(torrent_file, "rb") as file:
            metainfo = base64.b64encode(file.read()).decode()
        arguments = {"metainfo": metainfo}
        if folder is not None:
            arguments["download-dir"] = folder
        return self.call("torrent-add", **arguments)

    def wait_complete(self):
        def complete():
            torrents = self.call("torrent-get",
                                 fields=["percentDone", "status", "error",
                                         "errorString"])["torrents"]
            return torrents and all(
                torrent["percentDone"] == 1 and torrent["status"] in (5, 6)
                for torrent in torrents)
        wait_until(complete, "transmission has it all")


class QBittorrent:
    """qbittorrent-nox with a profile of its own, told what to do by its
    WebAPI."""

    def __init__(self, box, name, address, peer_port, web_port):
        needs("qbittorrent-nox")
        self._url = f"http://{address}:{web_port}/api/v2/"
        self.downloads = box.path(name, "downloads")
        config = box.path(name, "qBittorrent", "config")
        for folder in (self.downloads, config):
            os.makedirs(folder)
        with open(os.path.join(config, "qBittorrent.conf"), "w",
                  encoding="ascii") as file:
            file.write(f"""[BitTorrent]
Session\\AddExtensionToIncompleteFiles=false
Session\\DHTEnabled=false
Session\\DefaultSavePath={self.downloads}
Session\\InterfaceAddress={address}
Session\\LSDEnabled=false
Session\\MultiConnectionsPerIp=true
Session\\PeXEnabled=false
Session\\Port={peer_port}
[LegalNotice]
Accepted=true
[Network]
PortForwardingEnabled=false
[Preferences]
WebUI\\Address={address}
WebUI\\AuthSubnetWhitelist={address}/32
WebUI\\AuthSubnetWhitelistEnabled=true
WebUI\\CSRFProtection=false
WebUI\\HostHeaderValidation=false
WebUI\\LocalHostAuth=false
WebUI\\Port={web_port}
WebUI\\UseUPnP=false
""")
        self.process = box.spawn(["qbittorrent-nox",
                                  f"--profile={box.path(name)}",
                                  f"--webui-port={web_port}"])
        wait_until(self._version, "qbittorrent answers")

    def _version(self):
        try:
            with urllib.request.urlopen(self._url + "app/version",
                                        timeout=10) as answer:
                return answer.read()
        except (urllib.error.URLError, OSError):
            return None

    def add(self, torrent_file):
        with open(torrent_file, "rb") as file:
            content = file.read()
        mark = b"xxxxxxxxxxxxxxxxxxxx"
        body = (b"--" + mark + b"\r\nContent-Disposition: form-data; "
                b'name="torrents"; filename="a.torrent"\r\nContent-Type: '
                b"application/x-bittorrent\r\n\r\n" + content +
                b"\r\n--" + mark + b"--\r\n")
        request = urllib.request.Request(
            self._url + "torrents/add", body,
            {"Content-Type": "multipart/form-data; boundary=" +
             mark.decode()})
        with urllib.request.urlopen(request, timeout=10) as answer:
            equal(answer.read(), b"Ok.", "the answer of torrents/add")

    def torrents(self):
        with urllib.request.urlopen(self._url + "torrents/info",
                                    timeout=10) as answer:
            return json.load(answer)

    def wait_complete(self):
        def complete():
            torrents = self.torrents()
            return torrents and all(
                torrent["progress"] == 1 and torrent["state"] in
                ("uploading", "stalledUP") for torrent in torrents)
        wait_until(complete, "qbittorrent has it all")


def same_payload(actual, expected):
    """Two folders, but for the padding of hybrid torrents, which clients that
    do not know it keep as files of zeros."""
    left = {name: data for name, data in tree(actual).items()
            if not name.startswith(".pad/")}
    right = tree(expected)
    equal(sorted(left), sorted(right), f"files in {actual}")
    for name, data in left.items():
        equal(data == right[name], True, f"{name} in {actual} is the original")
