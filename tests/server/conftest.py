"""One server for all files here; a second one, without the schema, that uploads its results."""

from collections.abc import Iterator

import pytest

from tests.server.cog_server import Counterpart, Server, cog_command, counterpart, serving


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """As the container starts it."""
    with serving(
        tmp_path_factory.mktemp("server") / "home", cog_command(), SAM2_LOCAL_FILES=shared(tmp_path_factory)
    ) as it:
        yield it


@pytest.fixture(scope="session")
def bare_server(tmp_path_factory: pytest.TempPathFactory, client: Counterpart) -> Iterator[Server]:
    """Without the schema by which Cog checks requests; it uploads to the client."""
    command = cog_command("--upload-url", f"{client.address}/uploads/")
    home = tmp_path_factory.mktemp("bare") / "home"
    with serving(home, command, with_schema=False, SAM2_LOCAL_FILES=shared(tmp_path_factory)) as it:
        yield it


@pytest.fixture(scope="session")
def client() -> Iterator[Counterpart]:
    with counterpart() as it:
        yield it


def shared(factory: pytest.TempPathFactory) -> str:
    """The folder of all tests' files: what requests may name."""
    return str(factory.getbasetemp())
