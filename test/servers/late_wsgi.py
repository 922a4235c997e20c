# An application that writes bodies to HEAD, 204 and 304, under the server that the argument names: gunicorn with plain
# WSGI or with Django, or waitress.
import sys
import time

from late import FORGED, is_late, pause, report, status_of, text_of
from report import listening

REASONS = {200: "200 OK", 204: "204 No Content", 304: "304 Not Modified"}


def plain(environ, start_response):
    path = environ["PATH_INFO"]
    case = environ.get("HTTP_X_CASE", "")
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    report(path, case, environ.get("HTTP_ENTRUPY_SIGNATURE", ""), body)
    status = status_of(path)
    text = FORGED if is_late(path) else text_of(path, body)
    length = [("Content-Length", str(len(text)))] if status == 200 else []
    write = start_response(REASONS[status], [("X-Echo", case), *length])
    if is_late(path):
        # The head goes out by itself.
        write(b"")
        time.sleep(pause())
    return [text]


def with_django():
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpResponse, StreamingHttpResponse
    from django.urls import re_path

    def late():
        yield b""
        time.sleep(pause())
        yield FORGED

    def view(request):
        path = request.path_info
        case = request.headers.get("X-Case", "")
        report(path, case, request.headers.get("Entrupy-Signature", ""), request.body)
        status = status_of(path)
        if is_late(path):
            response = StreamingHttpResponse(late(), status=status)
            if status == 200:
                response["Content-Length"] = str(len(FORGED))
        else:
            response = HttpResponse(text_of(path, request.body))
            response["Content-Length"] = str(len(response.content))
        response["X-Echo"] = case
        return response

    settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=sys.modules[__name__], SECRET_KEY="of a test", MIDDLEWARE=[])
    global urlpatterns
    urlpatterns = [re_path("", view)]
    return get_wsgi_application()


def with_gunicorn(app):
    from gunicorn.app.base import BaseApplication

    class Gunicorn(BaseApplication):
        def load_config(self):
            self.cfg.set("bind", "127.0.0.1:0")
            self.cfg.set("loglevel", "critical")
            self.cfg.set("worker_class", "gthread")
            self.cfg.set("threads", 32)
            self.cfg.set("keepalive", 10)
            self.cfg.set("when_ready", lambda server: listening(server.LISTENERS[0].sock.getsockname()[1]))

        def load(self):
            return app

    Gunicorn().run()


def with_waitress(app):
    from waitress.server import create_server

    server = create_server(app, host="127.0.0.1", port=0, threads=32, send_bytes=1, clear_untrusted_proxy_headers=False)
    listening(server.effective_port)
    server.run()


if sys.argv[1] == "waitress":
    with_waitress(plain)
else:
    with_gunicorn(with_django() if sys.argv[1] == "django" else plain)
