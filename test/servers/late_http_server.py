# Python's own http.server with kept connections and a handler that writes bodies to HEAD, 204 and 304.
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from late import FORGED, is_late, pause, report, status_of, text_of
from report import listening


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 10

    def answer(self):
        case = self.headers.get("X-Case", "")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.split("?")[0]
        report(path, case, self.headers.get("Entrupy-Signature", ""), body)
        status = status_of(path)
        text = FORGED if is_late(path) else text_of(path, body)
        self.send_response(status)
        self.send_header("X-Echo", case)
        if status == 200:
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if is_late(path):
            time.sleep(pause())
        self.wfile.write(text)

    do_GET = do_HEAD = do_POST = do_PUT = answer

    def log_message(self, *_):
        pass


class Threads(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


server = Threads(("127.0.0.1", 0), Handler)
listening(server.server_address[1])
server.serve_forever()
