"""Milliseconds of cross-entropy and Dice, forward and backward, as UColNet's training calls them."""

import time

import torch

from ucolnet_lib.losses import cross_entropy_loss, dice_loss


def test_segmentation_losses():
    target = torch.randint(0, 18, (16, 64, 64))
    print()
    for layout in (torch.contiguous_format, torch.channels_last):
        logits = torch.randn(16, 81, 64, 64).to(memory_format=layout).requires_grad_()
        for name, loss in (("cross-entropy", cross_entropy_loss), ("Dice", dice_loss)):
            times = []
            for _ in range(20):
                start = time.perf_counter()
                loss(logits, target).backward()
                times.append(time.perf_counter() - start)
            print(f"{name:14} {str(layout):24} {1000 * sorted(times)[10]:6.1f} ms for 16 x 81 x 64 x 64")
