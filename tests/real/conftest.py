"""Tests on real batch systems: they need root and Debian's packages (make test-real).

Without them these tests are skipped; under PERIJOVE_REAL=1, which `make test-real` sets, what is missing is installed,
and whatever still stands in the way is a failure.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from harness.centres import gateway_of, own_directory, start, stop
from harness.flow import Flow
from harness.kernel import Kernel
from perijove.testbed import Testbed, install

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is `real`, and may take its time."""
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.real)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(300))


def need_real_batch_systems() -> None:
    """Skip, or fail under PERIJOVE_REAL=1, where the testbed cannot be."""
    required = os.environ.get("PERIJOVE_REAL") == "1"
    reason = install.why_not()
    if not reason and not required and (missing := install.missing()):
        reason = f"not installed: {', '.join(missing)} (make test-real installs them)"
    if reason and required:
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)


@pytest.fixture(scope="session")
def testbed() -> Iterator[Testbed]:
    """The testbed, up and whole: the one that is up, or a new one that is taken down at the end.

    Other people may be using it: a test that breaks something takes `own_testbed`, or mends what it broke.
    """
    need_real_batch_systems()
    bed = Testbed()
    was_up = bed.healthy()
    bed.up()
    yield bed
    if not was_up:
        bed.down()


@pytest.fixture(scope="session")
def own_testbed(testbed: Testbed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Testbed]:
    """alpha and gamma once more, for the tests of this session alone: a test may break what it likes."""
    bed = Testbed(own_directory(tmp_path_factory.mktemp("testbed")), only=("alpha", "gamma"))
    bed.up()
    yield bed
    bed.down()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(testbed: Testbed, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Flow]:
    """The gateway of the three centres of the testbed, each reached by its shared account."""
    state = tmp_path_factory.mktemp("real") / "state"
    async with gateway_of(testbed, state, dict.fromkeys(("alpha", "beta", "gamma"), "community")) as flow:
        await flow.person("alice")  # the hub knows people who have signed in
        yield flow


@pytest_asyncio.fixture(loop_scope="module")
async def notebook(site: Flow) -> AsyncIterator[Kernel]:
    """A kernel of a notebook session at alpha."""
    await start(site, "notebook", "alpha")
    await site.reach("alice", "notebook", "ready")
    browser = await site.person("alice")
    await site.usable(browser, "alice", "notebook")
    yield await Kernel.open(browser, "/user/alice/notebook", site.stack)
    await stop(site, "notebook")


@pytest.fixture
def mended(testbed: Testbed) -> Iterator[None]:
    """Whatever a test broke is mended, so that the next one finds whole centres."""
    yield
    testbed.mend()
