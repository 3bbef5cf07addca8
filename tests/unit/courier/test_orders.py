"""What travels between control and the courier."""

from __future__ import annotations

import json

from plait.courier.orders import AwayOrder, CourierJob, HomeOrder, NamesOrder

JOB = CourierJob(
    identity="00" * 16,
    aways=[AwayOrder(name="attic", method="aes-128-gcm", psk="5ec4e7")],
    home=HomeOrder(doors=[5, 6], method="none", psks={"": "5ec4e7"}, private_key="5ec4e7"),
    uid=1,
    gid=2,
    verbose=0,
    names=NamesOrder(doors=[7], sets={"seen_a": ["example.org"]}),
)


def test_a_job_survives_the_journey() -> None:
    assert CourierJob.from_json(json.loads(json.dumps(JOB.to_json()))) == JOB


def test_keys_do_not_print() -> None:
    assert "5ec4e7" not in repr(JOB)
