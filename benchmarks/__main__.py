"""``python -m benchmarks``: runs the suite and writes its report."""

from __future__ import annotations

import argparse
import os
import resource
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.machine import describe
from benchmarks.publish import publish
from benchmarks.report import markdown, verdicts
from benchmarks.results import Run, load, save
from benchmarks.runner import VARIANTS, Plan, Runner, Variant
from benchmarks.scenarios import SCENARIOS, Scenario
from benchmarks.servers import SERVERS
from benchmarks.targets import asked

RESULTS = Path(__file__).parent / "results"


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--servers", default="", help="only these, separated by commas")
    shared.add_argument("--out", type=Path, default=RESULTS, help="directory of the report")
    shared.add_argument("--rounds", type=int, help="rounds of each scenario")
    shared.add_argument("--seconds", type=float, help="length of one turn")
    shared.add_argument("--server-cores", default="0", help="taskset list; empty: no pinning")
    shared.add_argument("--load-cores", default="1", help="taskset list; empty: no pinning")
    for variant in VARIANTS.values():
        commands.add_parser(variant.name, parents=[shared], help=variant.about)
    only = commands.add_parser("only", parents=[shared], help="some scenarios or groups")
    only.add_argument("names", help="separated by commas; see list")
    only.add_argument("--variant", choices=sorted(VARIANTS), default="quick")
    commands.add_parser("list", help="scenarios and servers, and what is missing here")
    commands.add_parser("micro", help="every kind of request, in memory")
    again = commands.add_parser("report", help="render a stored result again")
    again.add_argument("result", type=Path, help="the JSON file")
    again.add_argument("--table", action="store_true", help="print the table of targets only")
    documents = commands.add_parser("publish", help="put a stored result into the documents")
    documents.add_argument("result", type=Path, help="the JSON file")
    return parser.parse_args(arguments)


def main() -> int:
    """Run a command; return its exit status."""
    arguments = parse()
    if arguments.command == "list":
        print(listing())
        return 0
    if arguments.command == "report":
        run = load(arguments.result)
        if arguments.table:
            print(verdicts(run))
        else:
            write(run, arguments.result.parent)
        return 0
    if arguments.command == "publish":
        print("changed: " + ", ".join(publish(load(arguments.result))))
        return 0
    if arguments.command == "micro":
        from benchmarks.inside import measure_all

        print("microseconds a request, in memory: the least and the median of batches")
        measure_all()
        return 0
    return measure(arguments)


def measure(arguments: argparse.Namespace) -> int:
    """Run scenarios and write the report."""
    variant = adjusted(arguments)
    chosen = select(arguments)
    if not chosen:
        print("no such scenario: see python -m benchmarks list", file=sys.stderr)
        return 2
    servers = tuple(name for name in arguments.servers.split(",") if name)
    if unknown := [name for name in servers if name not in SERVERS]:
        print(f"no such server: {', '.join(unknown)}; there are {', '.join(SERVERS)}")
        return 2
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    cores = usable(arguments.server_cores), usable(arguments.load_cores)
    raw = arguments.out / "raw" / variant.name
    plan = Plan(
        variant=variant,
        scenarios=chosen,
        servers=servers,
        server_cores=cores[0],
        load_cores=cores[1],
        raw=raw,
        say=lambda line: print(line, flush=True),
    )
    began = time.monotonic()
    run = Run(
        variant=variant.name,
        started=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        command="python -m benchmarks " + " ".join(repeatable(sys.argv[1:])),
        rounds=variant.rounds,
        seconds=variant.seconds,
        server_cores=cores[0],
        load_cores=cores[1],
        machine=describe(),
    )
    runner = Runner(plan)
    run.tables = runner.run()
    run.notes = runner.notes
    if arguments.command == "full":
        from benchmarks.inside import measure_all

        run.micro = measure_all()
    run.took = time.monotonic() - began
    write(run, arguments.out)
    return 0


def repeatable(words: list[str]) -> list[str]:
    """Return the words of a command line without the place of the report: it changes nothing."""
    kept = list(words)
    while "--out" in kept:
        place = kept.index("--out")
        del kept[place : place + 2]
    return [word for word in kept if not word.startswith("--out=")]


def adjusted(arguments: argparse.Namespace) -> Variant:
    """Return the variant with the rounds and seconds of the command line."""
    name = arguments.variant if arguments.command == "only" else arguments.command
    variant = VARIANTS[name]
    if arguments.rounds:
        variant = replace(variant, rounds=arguments.rounds)
    if arguments.seconds:
        variant = replace(variant, seconds=arguments.seconds)
    return variant


def select(arguments: argparse.Namespace) -> list[Scenario]:
    """Return the scenarios that the command line asks for, by name or group."""
    if arguments.command == "only":
        names = arguments.names.split(",")
        return [s for s in SCENARIOS.values() if s.name in names or (s.group and s.group in names)]
    if arguments.command == "targets":
        return [scenario for scenario in SCENARIOS.values() if asked(scenario)]
    quick = arguments.command == "quick"
    return [scenario for scenario in SCENARIOS.values() if scenario.quick or not quick]


def usable(cores: str) -> str:
    """Return the cores, or nothing where this machine does not have them all."""
    wanted = {int(core) for part in cores.split(",") if part for core in part.split("-")}
    if wanted and not wanted <= os.sched_getaffinity(0):
        print(f"cores {cores} are not usable here: nothing is pinned to them")
        return ""
    return cores


def write(run: Run, directory: Path) -> None:
    """Write JSON, plots and the report."""
    directory.mkdir(parents=True, exist_ok=True)
    save(run, directory / f"{run.variant}.json")
    try:
        from benchmarks.plots import draw
    except ModuleNotFoundError as error:
        run.notes["plots"] = f"skipped, the package {error.name} is not installed"
        print(f"plots: {run.notes['plots']}")
        plots = []
    else:
        plots = draw(run, directory)
    report = directory / f"{run.variant}.md"
    report.write_text(markdown(run, plots))
    print(f"\n{verdicts(run)}\n\nwritten: {report}")


def listing() -> str:
    """Return scenarios and servers as text."""
    lines = ["scenarios (* also in the quick variant):"]
    lines += [f"  {'*' if s.quick else ' '} {s.name:<15} {s.title}" for s in SCENARIOS.values()]
    lines.append("servers:")
    for server in SERVERS.values():
        missing = server.missing()
        lines.append(f"    {server.name:<15} {f'skipped: {missing}' if missing else server.note}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
