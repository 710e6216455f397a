"""Reports rendered from a stored run: what a reader finds, and what keeps a row from counting."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.__main__ import repeatable
from benchmarks.deployment import ROOT
from benchmarks.messages import REQUESTS
from benchmarks.publish import between_markers, cpu_times, how_measured, publish
from benchmarks.report import markdown, remark, targets_table, verdicts
from benchmarks.results import Row, Run, Turn, load, save
from benchmarks.scenarios import SCENARIOS
from benchmarks.servers import SERVERS
from benchmarks.targets import (
    FLAT,
    RIVALS,
    TARGETS,
    TIMES,
    Target,
    Verdict,
    asked,
    flatness,
    judge,
    verdict,
)

STORED = Path(__file__).parent / "small_run.json"


@pytest.fixture
def run() -> Run:
    """Two rounds of a few servers, with a failure of each kind."""
    return load(STORED)


def test_a_run_survives_being_stored(run: Run, tmp_path: Path) -> None:
    save(run, tmp_path / "again.json")
    assert load(tmp_path / "again.json") == run


def test_a_result_of_another_schema_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text(json.dumps({"schema": 0}))
    with pytest.raises(ValueError, match="schema"):
        load(tmp_path / "other.json")


def test_the_report_states_medians_ranges_ratios_and_cpu(run: Run) -> None:
    row = next(line for line in markdown(run).splitlines() if line.startswith("| katana |"))
    assert "75,000 (70,000 to 80,000)" in row
    assert "| 2.50 |" in row
    assert "| 10.0" in row


def test_the_report_describes_the_machine_and_the_run(run: Run) -> None:
    text = markdown(run)
    for fact in ("A Processor", "CPython 3.11.7", "uvloop 0.23.0", "2 rounds", "core 0"):
        assert fact in text


def test_errors_make_a_row_invalid_and_keep_it_out_of_ratios(run: Run) -> None:
    text = markdown(run)
    assert "**invalid**: errors: 3 status" in text
    assert verdict(run, Target("browser", "granian", "uvicorn", 1.0)).ratio is None


def test_a_skipped_server_says_why(run: Run) -> None:
    assert "skipped: the server ended with SIGSEGV" in markdown(run)


def test_a_server_behind_its_rate_and_a_disturbed_core_are_named(run: Run) -> None:
    turn = Turn(requests=500, seconds=1.0, offered=1000.0, others=0.5)
    row = Row("uvicorn", [turn])
    assert "could not keep up" in remark(row)
    assert "other processes took 50%" in remark(row)


def test_targets_are_judged_by_the_median_ratio_of_rounds(run: Run) -> None:
    verdicts = {(v.target.scenario, v.target.against): v for v in judge(run)}
    against_uvicorn = verdicts["browser", "uvicorn"]
    assert against_uvicorn.ratio is not None
    assert against_uvicorn.ratio.median == pytest.approx(3.0)
    assert against_uvicorn.requests is not None
    assert against_uvicorn.requests.median == 2.5
    assert against_uvicorn.met is True
    assert against_uvicorn.reached is True
    assert verdicts["browser", "fastpysgi"].met is None
    # p99 300 µs against the better of two peers: less is better.
    assert verdicts["rate-50", "best peer"].met is True
    table = targets_table(run)
    assert "not measured" in table
    assert f"≥ 2.4 {TIMES} uvicorn, wanted 3 | 3.00 (3.00 to 3.00) | 2.50 | wanted |" in table


def test_requests_a_second_must_not_contradict_the_cpu_time(run: Run) -> None:
    row = run.tables[0].row("katana")
    assert row is not None
    for turn in row.turns:  # slow, and of little CPU time for each of the few requests
        turn.requests //= 2
        turn.cpu_seconds /= 2

    def against_uvicorn() -> Verdict:
        return next(v for v in judge(run) if v.target.against == "uvicorn")

    assert against_uvicorn().ratio is not None
    assert against_uvicorn().contradicted
    assert against_uvicorn().met is False
    for turn in row.turns:  # ... unless the load generator was the limit
        turn.generator_seconds = turn.seconds
    assert against_uvicorn().limited
    assert against_uvicorn().met is True
    assert "(at its limit)" in targets_table(run)


def test_flatness_is_the_dearest_kind_of_request_over_the_cheapest_of_the_same_rounds(
    run: Run,
) -> None:
    assert flatness(run) == []
    browser = run.tables[0]
    for name, factor in (("plain", 1.0), ("varied", 1.2), ("proxied", 1.5)):
        table = deepcopy(browser)
        table.name = name
        for row in table.rows:
            for turn in row.turns:
                turn.cpu_seconds *= factor if row.server == "katana" else 1.0
        run.tables.append(table)
    found = {each.server: each for each in flatness(run)}
    assert found["katana"].ratio.median == pytest.approx(1.5)
    assert not found["katana"].met
    assert found["uvicorn"].ratio.median == pytest.approx(1.0)
    assert "fastpysgi" not in found
    assert list(found["katana"].times) == list(FLAT)
    assert "Flatness" in verdicts(run)
    assert "| Dearest over cheapest of the kinds of GET | 1.50 | 1.00 |" in cpu_times(run)


def test_a_group_becomes_one_table_with_a_column_for_each_scenario(run: Run) -> None:
    text = markdown(run)
    assert text.count("## Fan-out") == 1
    assert "| connections | 32 | 64 |" in text
    assert "N connections, closed loop" in text


def test_every_table_has_as_many_cells_in_each_line(run: Run) -> None:
    lines = markdown(run).splitlines()
    for above, below in pairwise(lines):
        if above.startswith("|") and below.startswith("|"):
            assert above.count("|") == below.count("|"), (above, below)


def test_every_target_names_a_scenario_and_servers_that_it_has() -> None:
    for target in TARGETS:
        scenario = SCENARIOS[target.scenario]
        assert target.server in scenario.servers
        assert target.against == "best peer" or target.against in scenario.servers


def test_the_targets_variant_asks_what_targets_and_tables_need() -> None:
    for target in TARGETS:
        needed = asked(SCENARIOS[target.scenario])
        assert target.server in needed
        assert target.against == "best peer" or target.against in needed
    assert set(RIVALS) < set(asked(SCENARIOS["proxied"]))
    assert "katana-h11" not in asked(SCENARIOS["proxied"])
    assert "katana" in asked(SCENARIOS["http2-32"])
    assert asked(SCENARIOS["unpinned"]) == []


def test_what_leads_differs_in_each_request_and_repeats_are_called_so() -> None:
    titles = {s.title: REQUESTS[s.request].repeats for s in SCENARIOS.values() if not s.group}
    leading = [SCENARIOS[name] for name in list(SCENARIOS)[:4]]
    assert [scenario.name for scenario in leading] == ["proxied", "fastapi", "api", "varied"]
    assert not any(REQUESTS[scenario.request].repeats for scenario in leading)
    about_parsing = [title for title in titles if title.startswith("Repeats")]
    assert len(about_parsing) == 4
    assert all(titles[title] for title in about_parsing)


def test_kinds_of_requests_are_compared_within_the_same_rounds() -> None:
    assert {SCENARIOS[name].block for name in FLAT} == {"kinds"}
    assert len({SCENARIOS[name].load for name in FLAT}) == 1


def test_every_scenario_asks_known_servers_of_one_kind_of_request() -> None:
    for scenario in SCENARIOS.values():
        assert set(scenario.servers) <= SERVERS.keys()
        assert set(scenario.quick) <= set(scenario.servers)


def test_documents_get_the_cpu_times_of_a_run(run: Run) -> None:
    head, _, browser, *_ = cpu_times(run).splitlines()
    # granian's only row is invalid, and fastpysgi was skipped.
    assert head == "| scenario | katana-asgi | uvicorn |"
    assert browser == f"| Repeats: 12 browser fields | 10.0 | 30.0 (3.00{TIMES}) |"
    assert run.command in how_measured(run)


def test_a_command_is_stored_without_the_place_of_its_report() -> None:
    words = ["only", "browser", "--out", "somewhere", "--rounds", "3", "--out=elsewhere"]
    assert repeatable(words) == ["only", "browser", "--rounds", "3"]


def test_what_stands_between_markers_is_replaced() -> None:
    text = "a\n<!-- b:start -->\nold\n<!-- b:end -->\nc\n"
    new = between_markers(text, "b", "new")
    assert new == text.replace("old", "new")
    assert between_markers(new, "b", "new") == new
    with pytest.raises(ValueError, match="no markers"):
        between_markers(text, "other", "new")


@pytest.mark.parametrize(
    ("name", "marker"),
    [
        ("README.md", "benchmark"),
        ("docs/performance.md", "benchmark"),
        ("docs/performance.md", "http2"),
    ],
)
def test_the_documents_have_the_markers(name: str, marker: str) -> None:
    text = (ROOT / name).read_text()
    assert between_markers(text, marker, "x") != text


def test_a_run_is_published_into_both_documents(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("README.md", "docs/performance.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text())
    monkeypatch.setattr("benchmarks.publish.ROOT", tmp_path)
    table = deepcopy(run.tables[0])
    table.name, table.group, table.column, table.axis = "http2-32", "http2", "32", "streams"
    run.tables.append(table)
    assert publish(run) == ["README.md", "docs/performance.md"]
    assert cpu_times(run) in (tmp_path / "README.md").read_text()
    performance = (tmp_path / "docs/performance.md").read_text()
    assert verdicts(run) in performance
    assert "| streams | 32 |" in performance


def test_plots_are_drawn_for_what_was_measured(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from benchmarks.plots import draw

    names = draw(run, tmp_path)
    assert [name.split("-", 1)[1] for name in names] == [
        "throughput.svg",
        "cpu.svg",
        "latency.svg",
        "distribution.svg",
        "fan-out.svg",
    ]
    for name in names:
        assert (tmp_path / name).read_text().startswith("<?xml")
        assert (tmp_path / name).with_suffix(".png").exists()
    assert draw(replace(run, tables=[]), tmp_path) == []
