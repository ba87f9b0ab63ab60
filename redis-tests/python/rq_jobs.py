"""The jobs of the RQ resident."""
import redis


def double(n):
    return 2 * n


def fail():
    raise ValueError("as it should")


def fail_twice(host, port):
    if redis.Redis(host, port).incr("tries") < 3:
        raise ValueError("not yet")
    return "at last"
