"""The Node clients and the queues among the apps while leadership moves: three nodes; clients of theirs on a follower, or looking
for the leader themselves; the leader killed under them and back later.

What an app promises its users must hold: a job that was accepted is done. It may be done twice, where the app says so.
"""
import programs
import resident_failover
import servers

ROUTES = programs.node("routes.js")
# A name, the program, options of the servers, further words for the program.
RUNS = (("node", ROUTES, ("--cluster-enabled", "yes"), ("Cluster",)), ("node", ROUTES, (), ("Sentinel",)),
        *((name, programs.ALL[name], (), ()) for name in ("node-redis", "ioredis", "bullmq", "bee-queue", "celery", "sidekiq")))


def run(_server, args):
    if args.host:
        return []

    def make(through, options):
        return servers.Cluster(args.server, options, base=None, through=through)
    results = []
    for name, program, options, words in RUNS:
        with resident_failover.Moving(make, list(options)) as moving:
            results += [("%s: %s" % (name, part), what) for part, what in program.run_failover(moving, *words)]
    return results
