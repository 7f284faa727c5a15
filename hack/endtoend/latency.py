"""What the way through the ingress costs: the same people, once to the pods' own addresses, once through the door."""

from contextlib import ExitStack
from time import monotonic

from box.waiting import wait_for
from endtoend.product import VOICES, Product
from endtoend.report import Number
from endtoend.speakers import Speakers

from weir_runtime.bench.quantiles import rank

MEASURED_S = 30.0


def latency(product: Product) -> list[Number]:
    captions = product.captions
    pods = [captions.url_of(pod) for pod in captions.pods()]
    shares = [VOICES[index :: len(pods)] for index in range(len(pods))]
    direct_s = p95([Speakers(url, share) for url, share in zip(pods, shares, strict=True)])
    through_s = p95([Speakers(product.door.url, VOICES, loop=product.door.loop)])
    what = f"p95 of interims, last sample sent → heard, {len(VOICES)} streams"
    return [
        Number(f"{what}, to the pods directly", f"{1000 * direct_s:.0f} ms"),
        Number(f"{what}, through the ingress", f"{1000 * through_s:.0f} ms ({through_s / direct_s:.2f} ×)"),
    ]


def p95(parties: list[Speakers]) -> float:
    began = monotonic()
    with ExitStack() as speaking:
        for party in parties:
            speaking.enter_context(party)
        wait_for("a while", lambda: monotonic() - began >= MEASURED_S, MEASURED_S + 1)
    return rank(sorted(delay for party in parties for one in party.heard for delay in one.delays_s), 0.95)
