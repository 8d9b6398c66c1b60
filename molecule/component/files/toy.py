#!/usr/bin/env python3
"""A small HTTP service with a configuration file; the binary of the toy component."""

import configparser
import http.server
import sys

config = configparser.ConfigParser()
config.read("/etc/toy/toy.ini")
section = config["toy"]


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers its greeting, and its health."""

    def do_GET(self) -> None:
        """Health is 503 when the configuration says so."""
        healthy = self.path != "/health" or section.getboolean("healthy")
        self.send_response(200 if healthy else 503)
        self.end_headers()
        self.wfile.write(section["greeting"].encode())

    def log_message(self, *_args: object) -> None:
        """Quiet."""


if not section.getboolean("healthy"):
    sys.stderr.write("toy: this configuration makes me sick\n")
http.server.ThreadingHTTPServer(("127.0.0.1", 8099), Handler).serve_forever()
