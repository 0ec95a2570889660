"""UColNet: grayscale image colorization helped by semantic segmentation, as a small tested library."""

__version__ = "0.1.0"
