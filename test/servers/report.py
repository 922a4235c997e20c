# The output of each test server, one JSON object a line: its port once it listens, and each request that reached one of
# its three protected handlers. Only the test judges: a server must never look at the signature.
import json
import re
import sys


def _print(line):
    # One write for each line, shorter than a pipe's buffer, so lines of several processes never mix.
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def listening(port):
    _print({"listening": port})


def reached(handler, environ, body):
    _print({
        "handler": handler,
        "case": environ.get("HTTP_X_CASE", ""),
        "signature": environ.get("HTTP_ENTRUPY_SIGNATURE", ""),
        "body": body.decode("latin-1"),
    })


def with_target(app, target_of):
    """Returns the raw target in a header, if a header may hold it, so a test sees what arrived."""
    def wrapped(environ, start_response):
        target = target_of(environ)

        def start(status, headers, exc_info=None):
            if re.fullmatch(r"[\x21-\x7e]+", target):
                headers = [*headers, ("X-Target", target)]
            return start_response(status, headers, exc_info)
        return app(environ, start)
    return wrapped
