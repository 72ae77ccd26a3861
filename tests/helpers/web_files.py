"""A web server for a folder, for tests that read a store from a web address."""

import functools
import http.server
import threading
from contextlib import contextmanager
from pathlib import Path


class WholeFileHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files as Python's own web server does: without byte ranges."""

    def log_message(self, *_):
        pass


class RangeHandler(WholeFileHandler):
    """Serves files and byte ranges of files. Folders are not listed."""

    def list_directory(self, _path):
        self.send_error(403)

    def do_GET(self):
        file = Path(self.translate_path(self.path))
        byte_range = self.headers.get("Range")
        if not byte_range or not file.is_file():
            super().do_GET()
            return
        content = file.read_bytes()
        first, _, last = byte_range.removeprefix("bytes=").partition("-")
        start = int(first) if first else max(len(content) - int(last), 0)
        stop = int(last) + 1 if first and last else len(content)
        part = content[start:stop]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{start + len(part) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)


class TokenHandler(RangeHandler):
    """Serves files to clients with the token ``secret``."""

    def parse_request(self):
        if not super().parse_request():
            return False
        if self.headers.get("Authorization") != "Bearer secret":
            self.send_error(401)
            return False
        return True


@contextmanager
def serve_folder(folder, handler=RangeHandler):
    """Serve a folder for a ``with`` block, and yield the address of the server."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=folder)) as web:
        threading.Thread(target=web.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{web.server_address[1]}"
        finally:
            web.shutdown()
