"""RQ: jobs put in by one process and worked off by another, with retries, dependencies, registries and the scheduler."""
import os
from datetime import timedelta

import redis
from program import HOST, PORT, URL, Worker, run, until
from rq import Queue, Retry
from rq.command import send_shutdown_command
from rq.job import Job
from rq.registry import FailedJobRegistry, FinishedJobRegistry
from rq import Worker as RqWorker

HERE = os.path.dirname(os.path.abspath(__file__))


def test_jobs_and_results():
    r = redis.Redis(HOST, PORT)
    high, low = Queue("high", connection=r), Queue("low", connection=r)
    jobs = low.enqueue_many([Queue.prepare_data("rq_jobs.double", (n,)) for n in range(10)])
    first = high.enqueue("rq_jobs.double", 21, result_ttl=100)
    after = low.enqueue("rq_jobs.double", 1, depends_on=[first, jobs[0]])
    bad = high.enqueue("rq_jobs.fail")
    retried = high.enqueue("rq_jobs.fail_twice", HOST, PORT, retry=Retry(max=3))
    late = high.enqueue_in(timedelta(milliseconds=500), "rq_jobs.double", 5)
    with Worker("rq", "worker", "--url", URL, "--with-scheduler", "--path", HERE, "--name", "resident", "high", "low"):
        for n, job in enumerate(jobs):
            until("job %d" % n, lambda: job.get_status() == "finished")
            assert job.result == 2 * n
        until("the others", lambda: after.get_status() == "finished" and retried.get_status() == "finished")
        assert first.result == 42 and after.result == 2 and retried.result == "at last"
        until("the failure", lambda: bad.get_status() == "failed")
        assert bad.id in FailedJobRegistry(queue=high) and "as it should" in Job.fetch(bad.id, connection=r).exc_info
        until("the scheduled one", lambda: late.get_status() == "finished")
        assert len(FinishedJobRegistry(queue=low)) == 11 and first.id in FinishedJobRegistry(queue=high)
        workers = RqWorker.all(connection=r)
        assert [w.name for w in workers] == ["resident"] and workers[0].successful_job_count >= 14
        assert 90 < r.ttl("rq:job:" + first.id) <= 100
        # Told by a message to go, not by a signal.
        send_shutdown_command(r, "resident")
        until("it is gone", lambda: not RqWorker.all(connection=r))


run(globals())
