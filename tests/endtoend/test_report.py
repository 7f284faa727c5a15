"""What people were given back becomes a line, a complaint where something is wrong, and a table."""

from dataclasses import replace

from endtoend.heard import Heard, Voice
from endtoend.judged import Result, judge
from endtoend.report import Number, Report, line, table
from endtoend.words import Reference, Segment

CLIP = "clips/count.flac"
RIGHT = {CLIP: Reference(5000, (Segment(0, 500, 1500, "one two"), Segment(1, 2500, 3500, "three")))}
SEGMENTS = [Segment(0, 500, 1500, "one two"), Segment(1, 2500, 3500, "three")]


def heard(resume_s: float = 0.0, **fields: object) -> Heard:
    made = Heard(Voice(CLIP, "batch", resume_s), rounds=1, sent_ms=5000, alive_ms=5000, closed="close", limits={})
    made.finals = list(SEGMENTS)
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def judged(*streams: Heard) -> Result:
    return judge("fall", "something falls", streams, RIGHT, 12.3)


def test_streams_that_came_through_give_no_complaint():
    found = judged(heard(60.0, resumed=1), heard())
    assert found == Result("fall", "something falls", streams=2, moved=1, sent=6, seconds=12.3)


def test_lost_words_are_a_complaint_that_says_whose():
    found = judged(heard(60.0, finals=SEGMENTS[:1]))
    assert found.lost == 1
    assert found.complaints == ("batch count.flac: 1 words lost: round 1 of 1: 'one two' for 'one two three'",)


def test_a_client_that_resumes_must_not_be_cut_off():
    assert judged(heard(60.0, error="the connection broke", closed="")).complaints == (
        "batch count.flac: the connection broke",
    )
    assert judged(heard(60.0, closed="drain")).complaints == ("batch count.flac: closed for drain",)


def test_a_client_that_does_not_resume_may_lose_its_open_segment_and_no_more():
    broke = {"error": "the connection broke", "closed": "", "rounds": 0}
    found = judged(heard(finals=SEGMENTS[:1], alive_ms=3000, **broke))
    assert (found.lost, found.broken, found.lost_plain, found.complaints) == (0, 1, 1, ())
    short = [SEGMENTS[0], replace(SEGMENTS[1], text="th")]
    found = judged(heard(finals=short, alive_ms=3000, closed="drain", rounds=0))
    assert (found.lost, found.broken, found.lost_plain, found.complaints) == (0, 1, 1, ())
    found = judged(heard(finals=[], alive_ms=3000, **broke))
    assert found.complaints == ("batch count.flac (plain): 2 segments lost without resume (the connection broke)",)


def test_segments_out_of_number_are_a_complaint():
    twice = [SEGMENTS[0], replace(SEGMENTS[1], seg=3)]
    assert judged(heard(60.0, finals=twice)).complaints == ("batch count.flac: finals are numbered [0, 3]",)


def test_a_report_is_good_only_if_something_ran_and_all_held():
    fine = Result("fall", "something falls", 6, 4, 120, seconds=31.2)
    assert not Report("make e2e").good
    assert Report("make e2e", results=[fine], numbers=[Number("way", "3 ms")]).good
    assert not Report("make e2e", results=[fine, replace(fine, lost=1)]).good
    assert not Report("make e2e", results=[replace(fine, complaints=("broke",))]).good
    assert not Report("make e2e", results=[fine], numbers=[Number("way", "3 s", "≤ 1 s", held=False)]).good


def test_a_report_says_what_happened_what_was_measured_and_what_was_not_done():
    cut = Result("fall", "something | falls", 6, 4, 120, 2, 0, 2, 5, 31.2, ("batch: 2 words lost",))
    report = Report("make e2e", ["2 cores."], [cut], [Number("way", "3 ms", "≤ 5 ms")], [("drain", "one node only")])
    text = report.markdown()
    assert "Written by `make e2e`" in text
    assert "| fall (failed) | something \\| falls | 6 | 4 | 120 | 2 | 0 | 2 cut, 5 words | 31 |" in text
    assert "| way | 3 ms | ≤ 5 ms |" in text
    assert "- fall: batch: 2 words lost" in text
    assert "- drain: one node only" in text
    assert "2 cut, 5 words" in line(cut)
    assert line(cut).startswith("FAILED fall")


def test_a_table_is_markdown():
    assert table(("a", "b"), [("1", "2")]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
