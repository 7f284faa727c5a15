"""The command line of hack/e2e, and the order in which a run goes."""

import argparse
import json
import os
import platform
import shlex
import signal
import sys
from datetime import UTC, datetime
from subprocess import CalledProcessError
from time import monotonic

from box import network, requirements
from box.place import REPOSITORY, Place, root_folder
from endtoend import artifacts, overload, standing
from endtoend.artifacts import Artifacts
from endtoend.changes import CHANGES, OPERATORS
from endtoend.faults import FAULTS
from endtoend.judged import Result
from endtoend.latency import latency
from endtoend.product import Product
from endtoend.report import Number, Report, line
from endtoend.scenarios import play

REPORT = REPOSITORY / "docs" / "e2e-report.md"
SCENARIOS = {one.name: one for one in (*CHANGES, *FAULTS, *OPERATORS)}
NAMES = ("latency", overload.NAME, *SCENARIOS)
SHORT = (overload.NAME, "rollout", "uninstall")
TRIES = 5  # of an overload, where its p95 is asked for
BOX = "e2e"


def main(words: list[str], usage: str | None) -> int:
    options = parsed(words, usage)
    if options.list:
        says = {one.name: one.says for one in SCENARIOS.values()} | {overload.NAME: overload.SAYS}
        print("\n".join(f"{name:14} {says.get(name, 'p95 through the ingress and directly')}" for name in NAMES))
        return 0
    if foreign() and options.checkout:
        print("e2e: --checkout mounts this machine into pods: only a box has nodes here", file=sys.stderr)
        return 2
    lacking = None if foreign() else requirements.lacking_for_control_plane() or requirements.lacking_for_nodes()
    if lacking:
        print(f"e2e: left out: {lacking}")
        return 0 if options.short else 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # everything is taken down on that way, too
    try:
        report = run(options, words)
    except KeyboardInterrupt:
        print("e2e: interrupted", file=sys.stderr)
        return 130
    except (RuntimeError, TimeoutError, OSError, CalledProcessError) as error:
        print(f"e2e: {error}", file=sys.stderr)
        return 1
    if not options.only and not options.short:
        REPORT.write_text(report.markdown())
        print(f"e2e: {REPORT.relative_to(REPOSITORY)} is written")
    return 0 if report.good else 1


def parsed(words: list[str], usage: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "hack/e2e", description=usage, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--list", action="store_true", help="print the scenarios' names")
    parser.add_argument("--only", type=chosen, default=(), help="these alone, with commas between; no report")
    parser.add_argument("--short", action="store_true", help=f"only {', '.join(SHORT)}; no report")
    parser.add_argument("--checkout", action="store_true", help="pods run this checkout, no images are built")
    parser.add_argument("--keep", action="store_true", help="leave the cluster up")
    parser.add_argument("--address", default="", help="of the ingress of the cluster that KUBECONFIG names")
    return parser.parse_args(words)


def chosen(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := set(names) - set(NAMES):
        raise argparse.ArgumentTypeError(f"no scenario {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    return names


def foreign() -> bool:
    """Whether KUBECONFIG names the cluster; CLUSTER_NAME names one in a box in any case."""
    return bool(os.environ.get("KUBECONFIG")) and not os.environ.get("CLUSTER_NAME")


def run(options: argparse.Namespace, words: list[str]) -> Report:
    report = Report(shlex.join(["hack/e2e", *words]) if words else "make e2e")
    name = os.environ.get("CLUSTER_NAME") or BOX
    began = monotonic()
    with standing.named(options.address) if foreign() else standing.in_a_box(name, options.keep) as site:
        say(report, Number("cluster and ingress up", standing.seconds(began)))
        runs = on_nodes(name, report, options.checkout)
        report.head = [*head(site.cluster.kubectl("version", "-o", "json")), runs.says]
        operator, numbers = standing.install(site, runs)
        say(report, *numbers)
        product, numbers = standing.apply(site, operator, runs)
        say(report, *numbers)
        names = options.only or (SHORT if options.short else NAMES)
        for name in (each for each in NAMES if each in names):
            do(product, name, report, 1 if options.short else TRIES)
    return report


def on_nodes(box: str, report: Report, checkout: bool) -> Artifacts:
    """What pods will run; images are imported into the box's nodes, those of another cluster have them."""
    if checkout:
        return artifacts.of_checkout()
    if not foreign():
        began = monotonic()
        with network.at_home(Place(box, root_folder())):
            artifacts.load(box)
        say(report, Number("images built, where they were not, and imported into both nodes", standing.seconds(began)))
    return artifacts.of_images()


def do(product: Product, name: str, report: Report, tries: int) -> None:
    """One part of the run, into the report."""
    if name == "latency":
        if product.machine is None:
            leave_out(report, name, "pods are not reached directly from here")
        else:
            say(report, *latency(product))
    elif name == overload.NAME:
        result, numbers = overload.overload(product, tries)
        tell(report, result)
        say(report, *numbers)
    elif SCENARIOS[name].own_nodes and product.machine is None:
        leave_out(report, name, "it needs nodes of the box")
    else:
        tell(report, play(product, SCENARIOS[name]))


def leave_out(report: Report, name: str, why: str) -> None:
    report.left_out.append((name, why))
    print(f"       {name}: left out, {why}", flush=True)


def tell(report: Report, result: Result) -> None:
    report.results.append(result)
    print(line(result), flush=True)


def say(report: Report, *numbers: Number) -> None:
    report.numbers += numbers
    for each in numbers:
        print(f"{'' if each.held else 'FAILED ':7}{each.what}: {each.measured}", flush=True)


def head(versions: str) -> list[str]:
    """What the numbers are from."""
    kubernetes = json.loads(versions)["serverVersion"]["gitVersion"]
    cpus, memory = os.cpu_count(), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    today = datetime.now(UTC).date().isoformat()
    return [f"{today}; {cpus} cores, {memory:.0f} GiB, {platform.machine()}; Kubernetes {kubernetes}."]
