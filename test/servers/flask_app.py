# Flask under gunicorn with their defaults: three protected handlers, everything else open. gunicorn is started from
# here, so it can be asked for its port.
from flask import Flask, request
from gunicorn.app.base import BaseApplication

from report import listening, reached, with_target

ANY = ["GET", "POST"]
app = Flask(__name__)


@app.route("/notify", methods=ANY)
def notify():
    reached("notify", request.environ, request.get_data())
    return "protected"


@app.route("/webhooks/notify", methods=ANY)
def webhooks():
    reached("webhooks", request.environ, request.get_data())
    return "protected"


@app.route("/internal", methods=ANY)
def internal():
    reached("internal", request.environ, request.get_data())
    return "protected"


@app.route("/", defaults={"path": ""}, methods=ANY)
@app.route("/<path:path>", methods=ANY)
def other(path):
    request.get_data()
    return "open"


class Gunicorn(BaseApplication):
    def load_config(self):
        self.cfg.set("bind", "127.0.0.1:0")
        self.cfg.set("loglevel", "error")
        # A client may stay silent after an odd request; the only worker must not wait half a minute for it.
        self.cfg.set("worker_class", "gthread")
        self.cfg.set("threads", 4)
        self.cfg.set("keepalive", 1)
        self.cfg.set("when_ready", lambda server: listening(server.LISTENERS[0].sock.getsockname()[1]))

    def load(self):
        return with_target(app.wsgi_app, lambda environ: environ["RAW_URI"])


Gunicorn().run()
