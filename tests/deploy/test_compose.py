"""docker-compose.yml and the proxy's configuration, as far as files tell; `python -m benchmarks.deploy` runs them."""

import re
from typing import Any

import pytest
import yaml

from app.settings import Settings
from tests.app.support import ROOT
from tests.deploy.support import assert_probe, assert_settings, assert_time_to_end, seconds

COMPOSE = ROOT / "docker-compose.yml"
SERVICES: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
PROXY = (ROOT / "deploy" / "haproxy.cfg").read_text()


def unset(value: str) -> str:
    """A value of the file where no variable of it is set."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value)


def setting(pattern: str) -> str:
    """The part in parentheses of the one line of the proxy's configuration that is like this."""
    (found,) = re.findall(rf"^    {pattern}$", PROXY, re.MULTILINE)
    return str(found)


def test_the_service_alone_runs_unless_a_profile_is_named() -> None:
    assert [name for name, service in SERVICES.items() if "profiles" not in service] == ["app"]
    assert {profile for service in SERVICES.values() for profile in service.get("profiles", [])} == {
        "postgres",
        "monitoring",
        "proxy",
    }


def test_the_service_starts_and_ends_with_what_it_is_told() -> None:
    variables = {name: unset(value) for name, value in SERVICES["app"]["environment"].items()}
    assert_settings(variables)
    assert_time_to_end(variables, seconds(SERVICES["app"]["stop_grace_period"]))


@pytest.mark.parametrize("name", SERVICES)
def test_every_file_that_is_mounted_is_there(name: str) -> None:
    sources = [unset(volume).partition(":")[0] for volume in SERVICES[name].get("volumes", [])]
    volumes = yaml.safe_load(COMPOSE.read_text())["volumes"]
    for source in sources:
        assert source in volumes or source == "/dev/null" or (ROOT / source).exists(), source


def test_the_proxy_looks_away_before_a_replica_closes() -> None:
    assert_probe(setting(r"option httpchk GET (\S+)"))
    interval, misses = re.search(r"check inter (\d+)s fall (\d+)", PROXY).groups()  # type: ignore[union-attr]
    drain = float(unset(SERVICES["app"]["environment"]["REVIEW_LM_DRAIN_SECONDS"]))
    assert int(interval) * int(misses) < drain


def test_the_proxy_leaves_it_to_the_service_to_say_what_takes_too_long() -> None:
    fields = Settings.model_fields
    assert seconds(setting(r"timeout server (\S+)")) > fields["deadline_seconds"].default
    assert seconds(setting(r"timeout http-request (\S+)")) >= fields["read_seconds"].default


def test_the_proxy_holds_a_text_of_full_length_to_ask_again() -> None:
    # Three bytes of UTF-8 a character, as in most scripts.
    assert int(setting(r"tune.bufsize (\d+)")) > 3 * Settings.model_fields["max_characters"].default
