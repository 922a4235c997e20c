# Python's own WSGI server, with a well-known snippet in front of the application: an `X-Script-Name` header names the
# prefix that a proxy has added to the path, and the snippet removes it. Three protected handlers, everything else open.
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from report import listening, reached, with_target

HANDLERS = {"/notify": "notify", "/webhooks/notify": "webhooks", "/internal": "internal"}


class Handler(WSGIRequestHandler):
    timeout = 2

    def get_environ(self):
        words = self.requestline.split(" ")
        return {**super().get_environ(), "RAW_TARGET": words[1] if len(words) > 1 else ""}

    def log_message(self, *_):
        pass


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


def behind_a_prefix(app):
    def wrapped(environ, start_response):
        prefix = environ.get("HTTP_X_SCRIPT_NAME", "")
        if prefix and environ["PATH_INFO"].startswith(prefix):
            environ["SCRIPT_NAME"] = prefix
            environ["PATH_INFO"] = environ["PATH_INFO"][len(prefix):]
        return app(environ, start_response)
    return wrapped


def app(environ, start_response):
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    handler = HANDLERS.get(environ["PATH_INFO"])
    if handler is not None:
        reached(handler, environ, body)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"open" if handler is None else b"protected"]


server = make_server(
    "127.0.0.1", 0, with_target(behind_a_prefix(app), lambda environ: environ["RAW_TARGET"]), Server, Handler
)
listening(server.server_address[1])
server.serve_forever()
