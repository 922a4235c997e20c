# Flask with its own server, or under gunicorn with the worker class that the argument names. The application reads only
# the body of /notify.
import logging
import sys
import time

from flask import Flask, Response, request
from gunicorn.app.base import BaseApplication
from werkzeug.serving import make_server

from report import listening, reached

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
app = Flask(__name__)


def answer(text):
    return Response(text, headers={"X-Echo": request.headers.get("X-Case", "")})


@app.route("/notify", methods=METHODS, provide_automatic_options=False)
def notify():
    body = request.get_data()
    reached("notify", request.environ, body)
    return answer(b"protected " + body)


@app.route("/slow", methods=METHODS, provide_automatic_options=False)
def slow():
    time.sleep(0.1)
    return answer(b"open")


@app.route("/<path:path>", methods=METHODS, provide_automatic_options=False)
def other(path):
    return answer(b"open")


class Gunicorn(BaseApplication):
    def load_config(self):
        self.cfg.set("bind", "127.0.0.1:0")
        self.cfg.set("loglevel", "critical")
        self.cfg.set("worker_class", sys.argv[1])
        if sys.argv[1] == "gthread":
            self.cfg.set("threads", 16)
        self.cfg.set("when_ready", lambda server: listening(server.LISTENERS[0].sock.getsockname()[1]))

    def load(self):
        return app


if sys.argv[1] == "own":
    logging.getLogger("werkzeug").disabled = True
    own = make_server("127.0.0.1", 0, app, threaded=True)
    listening(own.server_port)
    own.serve_forever()
else:
    Gunicorn().run()
