"""What a person reads while a run trains."""

from poise.runs.progress import Line, describe


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


def test_a_line_leaves_out_what_was_not_measured() -> None:
    assert describe(Line("t01", 0, 10, {"eval/knn_top1": 12.5})).endswith(
        "t01  step 0/10  k-NN 12.5 %"
    )
