"""What a person reads while a run trains."""

from poise.diagnostics.judge import Verdict, VerdictKind
from poise.runs.progress import HereObserver, Line, describe


def test_a_line_tells_step_loss_neighbours_speed_wait_and_time_left() -> None:
    metrics = {
        "loss/total": 5.1234,
        "loss/over_ln_k": 0.739,
        "eval/knn_top1": 41.26,
        "throughput/images_per_s": 350.4,
        "throughput/data_wait_share": 0.031,
        "throughput/s_per_step": 1.5,
    }
    text = describe(Line("t01", 100, 3000, metrics))
    assert text[8:] == (
        " t01  step 100/3000  loss 5.123  loss/ln K 0.739  k-NN 41.3 %  speed 350 images/s"
        "  data wait 3%  left 1:12:30"
    )


def test_a_line_with_a_note_says_it_alone() -> None:
    note = "continues with 2 of 4 workers from step 120: one node is gone"
    assert describe(Line("t01", 120, 3000, {}, note=note))[8:] == f" t01  {note}"


def test_a_line_leaves_out_what_was_not_measured() -> None:
    assert describe(Line("t01", 0, 10, {"eval/knn_top1": 12.5})).endswith(
        "t01  step 0/10  k-NN 12.5 %"
    )


def test_a_run_in_this_process_shows_each_line_at_once_with_its_verdict() -> None:
    lines: list[str] = []
    observer = HereObserver(lines.append, "tiny", 8)
    observer.judged(4, Verdict(VerdictKind.HEALTHY, None, "", ""))
    observer.log(4, {"loss/total": 1.5})
    assert [line[9:] for line in lines] == ["tiny  step 4/8  loss 1.500  healthy"]
