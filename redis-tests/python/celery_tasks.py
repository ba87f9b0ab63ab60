"""The tasks of the Celery resident; the worker and the producer both load this."""
import os
import time

from celery import Celery

URL = os.environ["RESIDENT_URL"]
app = Celery("resident", broker=URL, backend=URL)
app.conf.update(
    task_acks_late=True, task_reject_on_worker_lost=True, task_track_started=True,
    # What a worker took and did not acknowledge goes back to the queue after so long.
    broker_transport_options={"visibility_timeout": 3, "unacked_restore_limit": 100}, result_backend_always_retry=True,
    broker_connection_max_retries=None, result_backend_transport_options={"retry_policy": {"timeout": 10.0}},
)


@app.task
def add(x, y):
    return x + y


@app.task
def total(numbers):
    return sum(numbers)


@app.task
def fail():
    raise ValueError("as it should")


@app.task(bind=True, max_retries=5)
def stubborn(self):
    if self.request.retries < 2:
        raise self.retry(countdown=0)
    return self.request.retries


@app.task
def slowly(n):
    time.sleep(0.02)
    return n
