# Python's own http.server with kept connections. Its handler reads only the body of /notify. Unread bytes of other
# bodies become the next request on the connection, unless the connection ends.
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from report import listening, reached


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 5

    def answer(self):
        case = self.headers.get("X-Case", "")
        text = b"open"
        if self.path == "/notify":
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            signature = self.headers.get("Entrupy-Signature", "")
            reached("notify", {"HTTP_X_CASE": case, "HTTP_ENTRUPY_SIGNATURE": signature}, body)
            text = b"protected " + body
        elif self.path == "/slow":
            time.sleep(0.1)
        self.send_response(200)
        self.send_header("X-Echo", case)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


server = Server(("127.0.0.1", 0), Handler)
listening(server.server_address[1])
server.serve_forever()
