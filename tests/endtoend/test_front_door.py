"""A name with several addresses: clients get one that takes connections."""

import asyncio
import socket

import pytest
from endtoend.front_door import FrontDoor


async def reached(door: FrontDoor) -> str:
    """The address that a connection to the door's name went to."""
    _, writer = await asyncio.open_connection(door.host, door.port)
    address: str = writer.get_extra_info("peername")[0]
    writer.close()
    return address


def visits(door: FrontDoor, n: int) -> list[str]:
    with asyncio.Runner(loop_factory=door.loop) as runner:
        return [runner.run(reached(door)) for _ in range(n)]


def test_addresses_take_turns_and_one_that_is_down_is_left_out():
    with socket.create_server(("127.0.0.2", 0)) as one:
        port = one.getsockname()[1]
        door = FrontDoor("captions.example.com", port, ("127.0.0.2", "127.0.0.3", "127.0.0.4"))
        with socket.create_server(("127.0.0.3", port)):
            assert set(visits(door, 6)) == {"127.0.0.2", "127.0.0.3"}
        assert visits(door, 3) == ["127.0.0.2"] * 3


def test_without_any_address_that_is_up_there_is_no_connection():
    with pytest.raises(OSError, match=r"none of 127\.0\.0\.4 takes connections"):
        visits(FrontDoor("captions.example.com", 1, ("127.0.0.4",)), 1)


def test_the_url_is_the_name():
    assert FrontDoor("captions.example.com").url == "http://captions.example.com:80"
