#!/usr/bin/python3
"""Where random tests that are no C take their seed from; those in C ask test.h, which does the same.

    tests/seed.py NAME      prints one, for scripts

A fresh seed each time; but where REDRAFT_TEST_SEED is set, as tests/run does, it follows from that and from who asks, so that
the same commit runs the same tests and no two tests draw the same numbers.
"""
import hashlib
import os
import random
import sys

_drawn = 0


def draw_seed(name=None):
    """A seed of 32 bits for a test of this name, else of this command line without what names files: they differ between machines."""
    global _drawn  # whoever asks again wants another one
    run = os.environ.get("REDRAFT_TEST_SEED")
    if not run:
        return random.SystemRandom().getrandbits(32)
    if name is None:
        here = os.path.relpath(os.path.abspath(sys.argv[0]), os.path.dirname(os.path.abspath(__file__)))
        name = " ".join([here] + [word for word in sys.argv[1:] if "/" not in word])
    _drawn += 1
    digest = hashlib.sha256(("%s %s %d" % (run, name, _drawn)).encode()).digest()
    return int.from_bytes(digest[:4], "big")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: tests/seed.py NAME")
    print(draw_seed(sys.argv[1]))
