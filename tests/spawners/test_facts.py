"""A session's facts go through the environment of its server and come out as they were."""

from __future__ import annotations

from perijove.spawners.environment import way_to_gateway
from perijove.spawners.facts import AGENT_STARTED, GATEWAY_PORT, Facts

FACTS = Facts(
    session="s-1", centre="guangzhou", centre_en="Guangzhou", centre_zh="广州", queue="debug", job="42", server="work",
    cores=4, memory=2048, walltime=3600,
    started=1000.0, ends_by=4500.0, language="zh", again="centre=guangzhou&cores=4",
)  # fmt: skip


def test_facts_come_out_of_the_environment_as_they_went_in() -> None:
    assert Facts.read(FACTS.environment() | {"PATH": "/bin"}) == FACTS


def test_the_agent_fills_in_when_the_job_began() -> None:
    given = Facts(session="s-1", walltime=60).environment()
    assert given["PERIJOVE_STARTED"] == AGENT_STARTED
    assert Facts.read(given).started == 0  # an agent that knows nothing of it
    assert Facts.read(given | {"PERIJOVE_STARTED": "1000"}).started == 1000


def test_a_way_that_the_agent_did_not_fill_in_is_none() -> None:
    given = way_to_gateway("/services/perijove/api/v1", "", "")
    assert Facts.read(given).gateway == ""  # an older agent
    filled = {key: text.replace(GATEWAY_PORT, "4711") for key, text in given.items()}
    facts = Facts.read(filled)
    assert (facts.gateway, facts.gateway_host, facts.user_host) == ("http://127.0.0.1:4711", "", "")
    assert facts.api == "/services/perijove/api/v1"


def test_where_people_have_domains_a_session_knows_both_names() -> None:
    facts = Facts.read(way_to_gateway("/a", "hub.example:8000", "https://ada.hub.example:8000"))
    assert (facts.gateway_host, facts.user_host) == ("hub.example:8000", "ada.hub.example:8000")


def test_nothing_odd_in_an_environment_breaks_the_reader() -> None:
    assert Facts.read({"PERIJOVE_CORES": "many", "PERIJOVE_ENDS_BY": "soon"}) == Facts()


def test_the_batch_systems_word_on_the_end_goes_before_any_reckoning() -> None:
    assert FACTS.end({"SLURM_JOB_END_TIME": "4400"}) == 4400
    assert FACTS.end({"SLURM_JOB_END_TIME": "never"}) == 4500  # the gateway saw the job start before the agent
    assert Facts(started=1000.0, walltime=3600, ends_by=9e9).end({}) == 4600
    assert Facts().end({}) == 0
    # A clock that is hours off is not believed: the session would end as it begins.
    assert Facts(started=100_000.0, walltime=3600, ends_by=99_000.0).end({}) == 103_600
