"""An outcome that is told step by step: its lines, who leaves, what fails, turns."""

import json
import threading

import anyio
import pytest
from starlette.requests import Request

from gram_pyro.app.door import Queue
from gram_pyro.app.lines import Left, Lines

STAYS, LEAVES = {"type": "http.request", "body": b"", "more_body": False}, {"type": "http.disconnect"}


def answer(work, steps, leave_after=None, queue=None):
    """What is sent for a work by somebody who leaves after a number of lines."""
    queue, sent = queue or Queue(1), []

    async def receive():
        if leave_after is None or len(bodies(sent)) < leave_after:
            await anyio.sleep_forever()  # a client that stays sends nothing more
        return LEAVES

    async def send(message):
        sent.append(message)

    async def run():
        scope = {"type": "http"}
        await Lines(Request(scope, receive), queue, work, steps)(scope, receive, send)

    anyio.run(run)
    assert queue.waiting == 0
    return sent


def bodies(sent):
    return [json.loads(message["body"]) for message in sent if message.get("body")]


def count(steps, seen=None):
    def work(note):
        for step in range(1, steps + 1):
            note(step)
            if seen is not None:
                seen.append(step)
        return {"sum": sum(range(steps + 1))}

    return work


def test_steps_come_in_order_and_the_outcome_last():
    sent = answer(count(40), 40)
    assert bodies(sent) == [{"done": step, "of": 40} for step in range(41)] + [{"sum": 820}]
    assert sent[0]["status"] == 200 and (b"content-type", b"application/x-ndjson") in sent[0]["headers"]
    assert [message["more_body"] for message in sent[1:]] == [True] * 41 + [False]


def test_work_ends_at_its_next_step_when_the_client_leaves():
    told, ended = threading.Semaphore(0), []

    def work(note):
        try:
            for step in range(1, 10**6):
                note(step)
                ended.append(step)
                told.acquire(timeout=0.01)  # gives the other thread time, as a segment does
        except Left:
            ended.append("left")
            raise

    sent = answer(work, 10**6, leave_after=3)
    assert ended[-1] == "left" and len(ended) < 1000
    assert {"sum"} not in [set(line) for line in bodies(sent)] and all(m.get("more_body", True) for m in sent)


def test_who_has_left_before_the_turn_is_passed_over():
    seen = []
    (start, _) = answer(count(3, seen), 3, leave_after=0)
    assert start["status"] == 499 and not seen


def test_work_that_fails_is_not_hidden():
    def work(note):
        note(1)
        raise RuntimeError("no such luck")

    queue = Queue(1)
    with pytest.raises(RuntimeError, match="no such luck"):
        answer(work, 2, queue=queue)
    assert queue.waiting == 0
