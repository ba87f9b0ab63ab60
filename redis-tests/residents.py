"""What the Python residents share: a test is a function, a list of them is a resident's work.

`run_all` runs each on an emptied server and returns [(name, None or what went wrong)], which is what the table is
made of. Nothing here knows a client.
"""
import inspect
import socket
import traceback


def resp(server, *args, timeout_s=10):
    """One command over a bare socket; only for setting up, so that a resident's own client stays what is tested."""
    words = [a if isinstance(a, bytes) else str(a).encode() for a in args]
    with socket.create_connection((server.host, server.port), timeout_s) as s:
        s.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
        return s.recv(65536)


def tests_of(module):
    """The functions test_* of a module, in the order they are written."""
    found = [f for name, f in vars(module).items() if name.startswith("test_") and inspect.isfunction(f)]
    return sorted(found, key=lambda f: f.__code__.co_firstlineno)


def run_only(tests, *args):
    """Without a server."""
    results = []
    for test in tests:
        what = None
        try:
            test(*args)
        except Exception:
            what = traceback.format_exc().strip()
        results.append((test.__name__, what))
    return results


def run_all(tests, server, *args):
    results = []
    for test in tests:
        what = None
        try:
            resp(server, "FLUSHALL")
            test(server, *args)
        except Exception:
            what = traceback.format_exc().strip()
        results.append((test.__name__, what))
    return results


def raises(kind, text, call, *args, **kwargs):
    """The call must fail with an error of this kind whose text starts so."""
    try:
        got = call(*args, **kwargs)
    except kind as e:
        assert str(e).startswith(text), "error %r, expected %r" % (str(e), text)
        return
    raise AssertionError("no error %r but %r" % (text, got))
