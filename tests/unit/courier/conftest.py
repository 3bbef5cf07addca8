from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.unit.courier.posts import Posts


@pytest.fixture
def posts() -> Iterator[Posts]:
    posts = Posts()
    yield posts
    posts.close()
