"""Where the page of `handmap view` is served, and which options it refuses."""

import socket

import pytest
from click.testing import CliRunner

from clients.commands import view
from clients.page.server import close_server, open_server
from clients.page.view_options import DEFAULT_PAGE_PORT
from handmap.types.errors import ConfigError


@pytest.mark.parametrize("option", ["--recordings", "--preview"])
def test_a_recording_is_played_without_what_would_have_no_effect(option: str) -> None:
    done = CliRunner().invoke(view, ["--replay", "hands.mcap", option, "x"])

    assert done.exit_code == 2
    assert "--replay plays a recording; leave out --preview and --recordings" in done.output


def test_a_port_of_the_page_is_used_or_refused_and_without_one_the_next_is_found() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with pytest.raises(
            ConfigError, match=rf"port {taken} of '127.0.0.1' .*in use.*wanted.*pass another --web-port"
        ):
            open_server("127.0.0.1", taken)
    given = open_server("127.0.0.1", taken)
    found = [open_server("127.0.0.1", None) for _ in range(2)]
    ports = [server.get_port() for server in (given, *found)]
    for server in (given, *found):
        close_server(server)

    assert ports[0] == taken
    assert DEFAULT_PAGE_PORT <= ports[1] < ports[2]
