"""django-redis: Django's cache and sessions in Redis, with what django-redis adds to them."""
import threading

import django
from django.conf import settings
from program import URL, run

settings.configure(
    CACHES={"default": {"BACKEND": "django_redis.cache.RedisCache", "LOCATION": URL, "KEY_PREFIX": "site",
                        "OPTIONS": {"CLIENT_CLASS": "django_redis.client.DefaultClient"}}},
    SESSION_ENGINE="django.contrib.sessions.backends.cache", INSTALLED_APPS=["django.contrib.sessions"], USE_TZ=True)
django.setup()

from django.core.cache import cache  # noqa: E402  (settings come first)
from django_redis import get_redis_connection  # noqa: E402


def test_cache():
    cache.set("k", {"any": ["thing", 1, None]}, timeout=100)
    assert cache.get("k") == {"any": ["thing", 1, None]} and 90 < cache.ttl("k") <= 100
    assert not cache.add("k", "x") and cache.add("new", "x")
    assert cache.set("k", "y", nx=True) is False
    cache.set("n", 5)
    assert cache.incr("n", 3) == 8 and cache.decr("n") == 7
    try:
        cache.incr("none")
        raise AssertionError("there is nothing to count")
    except ValueError:
        pass
    cache.set_many({"a%d" % i: i for i in range(50)})
    assert cache.get_many(["a1", "a2", "none"]) == {"a1": 1, "a2": 2}
    assert sorted(cache.iter_keys("a*")) == sorted("a%d" % i for i in range(50))
    assert cache.delete_pattern("a*") == 50 and cache.keys("a*") == []
    assert cache.touch("k", 500) and cache.ttl("k") > 400 and cache.persist("k") and cache.ttl("k") is None
    assert cache.expire("k", timeout=5) and cache.pttl("k") <= 5000
    assert cache.has_key("k") and cache.delete("k") and cache.get("k", "default") == "default"
    assert cache.get_or_set("made", lambda: "now") == "now" == cache.get("made")
    assert get_redis_connection("default").exists("site:1:made") == 1
    cache.clear()
    assert cache.keys("*") == []


def test_locks_and_sessions():
    counted = []

    def work():
        for _ in range(5):
            with cache.lock("lock", timeout=10, blocking_timeout=20, sleep=0.005):
                n = len(counted)
                counted.append(n)
    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert counted == list(range(20))
    from django.contrib.sessions.backends.cache import SessionStore
    session = SessionStore()
    session["user"] = 7
    session.save()
    again = SessionStore(session.session_key)
    assert again["user"] == 7
    again.flush()
    assert not SessionStore(session.session_key).exists(session.session_key)


run(globals())
