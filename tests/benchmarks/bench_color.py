"""How fast 8-bit RGB becomes CIELAB, beside scikit-image and OpenCV. Run by `make bench`; prints, asserts no time.

One core; megapixels a second, the best of five rounds. Compare only within one run: machines differ.
"""

import time

import cv2
import numpy as np
import torch
from skimage.color import rgb2lab

from ucolnet_lib.color import rgb8_to_lab, rgb_to_lab

HEIGHT, WIDTH = 480, 640


def megapixels_a_second(convert, image: np.ndarray) -> float:
    convert(image)  # tables are built at the first call
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        convert(image)
        seconds.append(time.perf_counter() - start)
    return image.shape[0] * image.shape[1] / 1e6 / min(seconds)


def test_rgb_to_lab():
    threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    ways = {
        "scikit-image": rgb2lab,
        "OpenCV, float": lambda rgb: cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB),
        "ucolnet, rgb_to_lab": lambda rgb: rgb_to_lab(tensor),
        "ucolnet, rgb8_to_lab": rgb8_to_lab,
    }
    exact = rgb2lab(image)
    print(f"\nRGB to CIELAB, {WIDTH} x {HEIGHT}, one core\n{'':<22}{'megapixels/s':>14}{'largest error':>15}")
    for name, convert in ways.items():
        lab = convert(image)
        lab = lab[0].permute(1, 2, 0).numpy() if isinstance(lab, torch.Tensor) else lab
        print(f"{name:<22}{megapixels_a_second(convert, image):>14.2f}{np.abs(lab - exact).max():>15.4f}")
    torch.set_num_threads(threads[0])
    cv2.setNumThreads(threads[1])
