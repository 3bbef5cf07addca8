from __future__ import annotations

import dataclasses

import pytest

from plait.paths import model

from .scene import host


def test_links_are_found_by_name_and_named_by_index() -> None:
    snapshot = host(wan1="10.1.1.78/24")
    wan1 = snapshot.link("wan1")
    assert wan1 is not None
    assert snapshot.device(wan1.index) == "wan1"
    assert snapshot.link("wan9") is None
    assert snapshot.device(99) == "if99"


def test_all_values_are_frozen_and_slotted() -> None:
    values = [value for value in vars(model).values() if dataclasses.is_dataclass(value)]
    assert len(values) == 12
    for value in values:
        assert isinstance(value, type)
        assert value.__dataclass_params__.frozen, value  # type: ignore[attr-defined]
        assert "__slots__" in vars(value), value


def test_endpoint_flags_are_the_kernels() -> None:
    """include/uapi/linux/mptcp.h"""
    assert [flag.value for flag in model.EndpointFlags] == [1, 2, 4, 8, 16, 32]


def test_a_snapshot_can_not_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        host().links = ()  # type: ignore[misc]
