# What the servers of this folder whose names begin with `late_` have in common. They answer on /open/late,
# /open/204 and /open/304 and then, a moment later, write a body: to HEAD, 204 and 304 too, as an application does that
# does not look at the method. The body is what an attacker would like it to be: an application that echoes a comment or
# a file name can be made to send such bytes. Every request is reported with its id, whatever its path.
import hashlib
import json
import random
import sys

TEXT = b"forged"
FORGED = b"HTTP/1.1 200 OK\r\nX-Echo: forged\r\nContent-Length: 6\r\n\r\n" + TEXT
STATUSES = {"/open/204": 204, "/open/304": 304}


def pause():
    """Seconds between a head and its body."""
    return random.random() * 0.004


def is_late(path):
    return path.startswith("/open/") and path != "/open/plain"


def status_of(path):
    return STATUSES.get(path, 200)


def text_of(path, body):
    """What a request gets at once."""
    return hashlib.sha256(body).hexdigest().encode() if path == "/notify" else b"open"


def report(path, case, signature, body):
    handler = "notify" if path == "/notify" else "open"
    digest = hashlib.sha256(body).hexdigest()
    line = {"handler": handler, "case": case, "signature": signature, "body": digest}
    # One write for each line, so that lines of several threads never mix.
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
