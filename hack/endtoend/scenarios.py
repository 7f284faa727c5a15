"""The frame of every scenario: people speak, one thing happens to the cluster, they speak on, and words are counted."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from box.waiting import wait_for
from endtoend.judged import Result, judge
from endtoend.product import VOICES, Product
from endtoend.speakers import Speakers

Act = Callable[[Product], None]


def nothing(_: Product) -> None:
    """Happens."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """`act` is what happens while people speak. `own_nodes`: it needs the box's; `whole`: all is as it was then."""

    name: str
    says: str
    act: Act
    before: Act = nothing
    after: Act = nothing
    own_nodes: bool = False
    whole: bool = True


def play(product: Product, scenario: Scenario) -> Result:
    """Never raises for what the product did: that is a complaint."""
    began = monotonic()
    try:
        scenario.before(product)
        product.wait_whole()
        with Speakers(product.door.url, VOICES, loop=product.door.loop) as talk:
            wait_for("everybody to be heard", lambda: all(one.finals or one.error for one in talk.heard))
            began = monotonic()
            scenario.act(product)
            if scenario.whole:
                product.wait_whole()
            seconds = monotonic() - began
            heard = talk.finish()
        scenario.after(product)
    except (TimeoutError, RuntimeError, OSError) as error:
        return Result(scenario.name, scenario.says, seconds=monotonic() - began, complaints=(str(error),))
    return judge(scenario.name, scenario.says, heard, product.right, seconds)
