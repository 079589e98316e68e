"""The settings: what is read, what is refused, and that secrets stay secret."""

from __future__ import annotations

import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest
from perijove.hub import secretfiles
from perijove.hub.settings import BadSettings, Settings
from traitlets.config import Config

EXAMPLE = Path(__file__).parents[2] / "deploy" / "perijove.toml"


def written(folder: Path, text: str) -> Path:
    path = folder / "perijove.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_example_loads_and_has_every_key() -> None:
    settings = Settings.load(EXAMPLE)
    assert set(tomllib.loads(EXAMPLE.read_text())) == set(Settings.model_fields)
    assert settings.broker_api_url == "http://127.0.0.1:8082/services/perijove/api/v1"
    assert settings.url == "https://gateway.example.org"


def test_the_example_gives_the_defaults_where_it_says_so() -> None:
    example = Settings.load(EXAMPLE)
    plain = Settings(state_dir=Path("/s"), centres_dir=Path("/c"))
    keys = ["bind_url", "hub_port", "proxy_api_port", "broker_port", "session_ports", "database", "launch_limits"]
    for key in [*keys, "retention", "cluster_limits", "ledger"]:
        assert getattr(example, key) == getattr(plain, key), key


def test_every_fault_is_named_at_once_with_the_nearest_key(tmp_path: Path) -> None:
    path = written(tmp_path, 'state_dir = "s"\ncentre_dir = "c"\nhub_port = 0\n[authenticator]\nnmae = "pam"\n')
    with pytest.raises(BadSettings) as caught:
        Settings.load(path)
    text = str(caught.value)
    assert "centres_dir: is missing" in text
    assert "centre_dir: there is no such key; is 'centres_dir' meant?" in text
    assert "hub_port:" in text
    assert "authenticator.nmae: there is no such key; is 'name' meant?" in text
    assert text.count(str(path)) == len(text.splitlines())


@pytest.mark.parametrize("text", ["state_dir = ", "\x00", 'state_dir = "s"\ncentres_dir = 3\n'])
def test_a_file_that_is_no_settings_is_refused_in_words(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadSettings, match=r"perijove\.toml"):
        Settings.load(written(tmp_path, text))
    with pytest.raises(BadSettings, match="No such file"):
        Settings.load(tmp_path / "absent.toml")


@pytest.mark.parametrize(
    "changes",
    [
        {"hub_port": 8082},
        {"broker_port": 20500},
        {"session_ports": (29000, 28000)},
        {"bind_url": "ftp://x"},
        {"bind_url": "http://0.0.0.0:8000"},
    ],
)
def test_settings_that_cannot_work_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"port|address|127\.0\.0\.1"):
        Settings.for_demo(tmp_path, **changes)


def test_relative_paths_count_from_the_file(tmp_path: Path) -> None:
    settings = Settings.load(written(tmp_path, 'state_dir = "state"\ncentres_dir = "centres"\n'))
    assert settings.state_dir == tmp_path / "state"
    assert settings.centres_dir == tmp_path / "centres"


def test_what_was_saved_is_what_is_loaded(tmp_path: Path) -> None:
    settings = Settings.for_demo(tmp_path / "state", hub_port=9001)
    assert Settings.load(settings.save()) == settings


@pytest.mark.parametrize("name", secretfiles.NAMES)
def test_a_secret_is_made_once_and_only_we_can_read_it(tmp_path: Path, name: str) -> None:
    settings = Settings.for_demo(tmp_path / "state")
    first = settings.secret(name)
    assert len(first) >= 64
    assert settings.secret(name) == first
    assert stat.S_IMODE(settings.secret_file(name).stat().st_mode) == 0o600
    assert stat.S_IMODE(settings.state_dir.stat().st_mode) == 0o700
    assert first not in repr(settings)


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path) -> None:
    settings = Settings.for_demo(tmp_path / "state")
    settings.secret_file("broker.token").chmod(0o644)
    with pytest.raises(secretfiles.UnsafeSecret, match="chmod 600"):
        settings.secret("broker.token")
    with pytest.raises(LookupError, match="no secret"):
        settings.secret("../etc/passwd")


def test_a_base_path_goes_into_every_address(tmp_path: Path) -> None:
    settings = Settings.for_demo(tmp_path, bind_url="http://127.0.0.1:8000/jupyter/")
    assert settings.broker_prefix == "/jupyter/services/perijove/"
    assert settings.hub_api_url == "http://127.0.0.1:8081/jupyter/hub/api"


def configured(settings: Settings) -> Config:
    from perijove.hub.jupyterhub import configure

    c = Config()
    configure(c, settings)
    return c


def test_the_hubs_configuration_stops_nothing_and_listens_at_home(tmp_path: Path) -> None:
    c = configured(Settings.for_demo(tmp_path / "state"))
    assert c.JupyterHub.cleanup_servers is False
    assert c.JupyterHub.cleanup_proxy is False
    assert c.ConfigurableHTTPProxy.should_start is False
    assert c.JupyterHub.concurrent_spawn_limit == 0
    assert c.JupyterHub.spawner_class == "perijove"
    for address in (c.JupyterHub.hub_bind_url, c.ConfigurableHTTPProxy.api_url, c.JupyterHub.services[0]["url"]):
        assert address.startswith("http://127.0.0.1:")
    assert "subdomain_host" not in c.JupyterHub
    assert c.CentreSpawner.gateway_host == ""
    assert c.CentreSpawner.api_path == "/services/perijove/api/v1"


@pytest.mark.parametrize(
    ("bind", "address"),
    [
        ("http://0.0.0.0:8000", ("127.0.0.1", 8000)),
        ("http://[::]", ("::1", 80)),
        ("http://10.1.2.3:81/jupyter", ("10.1.2.3", 81)),
    ],
)
def test_this_machine_reaches_the_proxy_wherever_that_listens(
    tmp_path: Path, bind: str, address: tuple[str, int]
) -> None:
    settings = Settings(state_dir=tmp_path, centres_dir=tmp_path, bind_url=bind)
    assert settings.proxy_address == address


def test_batchspawners_handler_is_dropped(tmp_path: Path) -> None:
    configured(Settings.for_demo(tmp_path / "state"))
    from jupyterhub.apihandlers import default_handlers

    assert default_handlers
    assert not [h for h in default_handlers if "batchspawner" in h[0]]


def test_any_authenticator_is_configured_by_name_and_class(tmp_path: Path) -> None:
    example = Settings.load(EXAMPLE)
    settings = example.model_copy(update={"state_dir": tmp_path / "state"})
    c = configured(settings)
    assert c.JupyterHub.authenticator_class == "generic-oauth"
    assert c.GenericOAuthenticator.username_claim == "preferred_username"
    assert c.Authenticator.admin_users == {"operator"}
    assert c.JupyterHub.subdomain_host == "https://gateway.example.org"
    assert c.CentreSpawner.start_page == "https://gateway.example.org/services/perijove/start"
    assert c.CentreSpawner.gateway_host == "gateway.example.org"


def test_oidc_through_oauthenticator_takes_the_examples_configuration(tmp_path: Path) -> None:
    from oauthenticator.generic import GenericOAuthenticator

    settings = Settings.load(EXAMPLE).model_copy(update={"state_dir": tmp_path / "state"})
    made = GenericOAuthenticator(config=configured(settings))
    assert made.client_id == "perijove"
    assert made.scope == ["openid", "profile"]
