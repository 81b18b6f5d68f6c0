"""One server with the packaged model, shared by the tests of the services that ask it."""

from collections.abc import Iterator

import pytest

from helpers import canaries, models
from helpers.served import Served
from helpers.server import ServerProcess


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The shared server; no file of it shows a planted secret in the end."""
    folder = tmp_path_factory.mktemp("served")
    names = [models.candidate(version) for version in (1, 2)]
    models.make(folder / "data", *names)
    settings = {
        "BECAS_FT_RUNTIME__KIND": "embedded",
        "BECAS_FT_PROMOTION__WATCH_INTERVAL_SECONDS": "3600",
        # A busy machine is slow, not broken.
        "BECAS_FT_SHADOW__ANSWER_TIMEOUT_SECONDS": "240",
        "BECAS_FT_SHADOW__CANDIDATE_TIMEOUT_SECONDS": "240",
    }
    process = ServerProcess(folder / "data", folder / "server", variables=settings).start()
    with process.channel() as channel:
        found = Served(process, channel)
        found.register(models.BASE, models.BASE)
        for name in names:
            found.register(name, models.BASE)
        yield found
    assert process.stop() == 0
    assert canaries.search(folder) == []
