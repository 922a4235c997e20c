# Django under gunicorn, with a view that writes bodies to HEAD, 204 and 304.
import sys
import time

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import re_path
from gunicorn.app.base import BaseApplication

from late import FORGED, is_late, pause, report, status_of, text_of
from report import listening


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
urlpatterns = [re_path("", view)]


class Gunicorn(BaseApplication):
    def load_config(self):
        self.cfg.set("bind", "127.0.0.1:0")
        self.cfg.set("loglevel", "critical")
        self.cfg.set("worker_class", "gthread")
        self.cfg.set("threads", 32)
        self.cfg.set("keepalive", 10)
        self.cfg.set("when_ready", lambda server: listening(server.LISTENERS[0].sock.getsockname()[1]))

    def load(self):
        return get_wsgi_application()


Gunicorn().run()
