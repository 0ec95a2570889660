"""Training on Accelerate: the loop and the run folder."""

from ucolnet_lib.training.loop import train
from ucolnet_lib.training.run import Run

__all__ = ["Run", "train"]
