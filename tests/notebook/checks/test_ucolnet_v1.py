"""The checks of notebook 04."""

import pytest
import torch

from ucolnet_lib.notebook.checks import ucolnet_v1 as check


def right_ascend(decoder, x, skips):
    for up, level, skip in zip(decoder.ups, decoder.levels, reversed(skips), strict=True):
        x = level(torch.cat([skip, up(x)], dim=1))
    return x


def without_skips(decoder, x, skips):
    for up, level in zip(decoder.ups, decoder.levels, strict=True):
        x = up(x)
        x = level(torch.cat([x, x], dim=1))
    return x


def skip_behind(decoder, x, skips):
    for up, level, skip in zip(decoder.ups, decoder.levels, reversed(skips), strict=True):
        x = level(torch.cat([up(x), skip], dim=1))
    return x


def skip_twice(decoder, x, skips):
    for level, skip in zip(decoder.levels, reversed(skips), strict=True):
        x = level(torch.cat([skip, skip], dim=1))
    return x


def sum_twice(decoder, x, skips):
    for up, level, skip in zip(decoder.ups, decoder.levels, reversed(skips), strict=True):
        x = skip + up(x)
        x = level(torch.cat([x, x], dim=1))
    return x


def not_reversed(decoder, x, skips):
    for up, level, skip in zip(decoder.ups, decoder.levels, skips, strict=True):
        x = level(torch.cat([skip, up(x)], dim=1))
    return x


def one_level_short(decoder, x, skips):
    return decoder.levels[0](torch.cat([skips[-1], decoder.ups[0](x)], dim=1))


def right_stop(losses, patience):
    best, best_epoch = float("inf"), 0
    for epoch, loss in enumerate(losses, 1):
        if loss < best:
            best, best_epoch = loss, epoch
        if epoch - best_epoch >= patience:
            return epoch
    return len(losses)


def stop_as_the_training_loop(losses, patience):
    done = 0
    while done < len(losses):
        if done and done - (losses.index(min(losses[:done])) + 1) >= patience:
            break
        done += 1
    return done


def a_tie_is_better(losses, patience):
    best, best_epoch = float("inf"), 0
    for epoch, loss in enumerate(losses, 1):
        if loss <= best:
            best, best_epoch = loss, epoch
        if epoch - best_epoch >= patience:
            return epoch
    return len(losses)


def nothing_without_a_stop(losses, patience):
    epoch = right_stop(losses, patience)
    return epoch if losses != sorted(losses, reverse=True) else None


def best_epoch_only(losses, patience):
    return losses.index(min(losses)) + 1


def one_epoch_late(losses, patience):
    return min(len(losses), right_stop(losses, patience) + 1)


def rises_in_a_row(losses, patience):
    rises = 0
    for epoch in range(2, len(losses) + 1):
        rises = rises + 1 if losses[epoch - 1] >= losses[epoch - 2] else 0
        if rises >= patience:
            return epoch
    return len(losses)


def never_counts_anew(losses, patience):
    best, bad = float("inf"), 0
    for epoch, loss in enumerate(losses, 1):
        bad += loss >= best
        best = min(best, loss)
        if bad >= patience:
            return epoch
    return len(losses)


def test_checks(judge):
    judge(
        check,
        right={
            check.bottleneck_shape: [((1024, 6, 10),), ([1024, 6, 10],), (torch.Size([1024, 6, 10]),)],
            check.ascend: [(right_ascend,), (lambda decoder, x, skips: decoder(x, skips),)],
            check.fusion_weights: [(327_680, 2_949_120), (1280 * 256, 1280 * 256 * 9.0)],
            check.largest_part: [
                ("encoder", 50), ("encoder", 40), ("encoder", 60), ("encoder", 58.5), ("Encoder", 50),
            ],
            check.signs: [(4, 0.021), (4.0, 0.0210)],
            check.stop_epoch: [(right_stop,), (stop_as_the_training_loop,)],
        },
        wrong={
            check.bottleneck_shape: [
                ((1024, 10, 6),), ((1024, 12, 20),), ((1024, 3, 5),), ((512, 6, 10),), ((6, 10, 1024),), ((6, 10),),
                ((1, 1024, 6, 10),), (1024,), ("1024, 6, 10",), ((1024, "six", 10),),
            ],
            check.ascend: [
                (without_skips,), (skip_behind,), (skip_twice,), (sum_twice,), (not_reversed,), (one_level_short,),
            ],
            check.fusion_weights: [
                (2_949_120, 327_680), (1024 * 256, 9 * 1024 * 256), (256 + 1024, 9 * (256 + 1024)),
                (327_680, 3 * 327_680), (256 * 1024 * 256, 9 * 256 * 1024 * 256), (327_680 + 256, 2_949_120 + 256),
                (328_192, 2_949_632), ("327680", "2949120"), ("327,680", "2,949,120"),
            ],
            check.largest_part: [
                ("decoder", 50), ("upper branch", 50), ("fusion", 30), ("encoder", 0.5), ("encoder", 38),
                ("encoder", 75), ("encoder", 39), ("encoder", 61), (50, "encoder"), ("encoder", -50), ("encoder", "50"),
            ],
            check.signs: [
                (7, 0.021), (3, 0.021), (4, -0.021), (4, 0.005), (0.026, 0.021), (4, 0.031), (4, 0.02), ("4", "0.021"),
            ],
            check.stop_epoch: [
                (best_epoch_only,), (one_epoch_late,), (rises_in_a_row,), (never_counts_anew,), (a_tie_is_better,),
                (nothing_without_a_stop,),
            ],
        },
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "answers", "hint"),
    [
        ("bottleneck_shape", (1024,), "three numbers"),
        ("ascend", (without_skips,), "stays the same"),
        ("ascend", (skip_behind,), "order of the two"),
        ("ascend", (skip_twice,), "the enlarged one once"),
        ("ascend", (sum_twice,), "the enlarged one once"),
        ("fusion_weights", (328_192, 2_949_632), "nothing for batch norm"),
        ("fusion_weights", ("327680", 2_949_120), "Give a whole number"),
        ("signs", (4, 0.02), "three decimals"),
        ("signs", (4, -0.021), "the sign of the gap"),
        ("stop_epoch", (a_tie_is_better,), "only equals the best one"),
        ("stop_epoch", (nothing_without_a_stop,), "returns nothing here. The losses of some trainings"),
        ("stop_epoch", (lambda losses, patience: None,), "Not answered yet"),
    ],
)
def test_the_hint_fits_the_mistake(capsys, name, answers, hint):
    assert getattr(check, name)(*answers) is False
    assert hint in capsys.readouterr().out


def test_a_check_leaves_the_random_numbers_alone():
    torch.manual_seed(3)
    wanted = torch.rand(4)
    torch.manual_seed(3)
    check.ascend(right_ascend)
    assert torch.equal(torch.rand(4), wanted)
