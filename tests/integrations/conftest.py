"""One Label Studio for all tests, and our backend beside it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integrations.label_studio import LEGACY, Studio, label_studio
from tests.integrations.processes import Door, running
from tests.test_doors import free_port


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("integrations")


@pytest.fixture(scope="session")
def studio(folder: Path) -> Iterator[Studio]:
    with label_studio(folder) as started:
        yield started


def backend(studio: Studio, token: str, name: str, **more: str) -> Door:
    """Our backend for Label Studio, not yet started."""
    environment = {"LABEL_STUDIO_URL": studio.url, "LABEL_STUDIO_API_KEY": token, **more}
    return Door("label-studio", free_port(), studio.folder / f"{name}.log", **environment)


@pytest.fixture(scope="session")
def door(studio: Studio) -> Iterator[Door]:
    with running(backend(studio, LEGACY, "backend")) as opened:
        yield opened


@pytest.fixture(scope="session")
def remote_server(folder: Path) -> Iterator[Door]:
    with running(Door("x-anylabeling", free_port(), folder / "remote-server.log")) as opened:
        yield opened
