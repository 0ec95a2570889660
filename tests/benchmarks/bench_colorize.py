"""How fast a photograph of 12 megapixels is coloured, and in how much memory. Run by `make bench`; asserts no time.

The photograph is one of scikit-image, enlarged, with noise as of a camera, as a JPEG. Times are the best of five calls,
with all cores. `decode + encode`: Pillow reads the JPEG and writes it with the settings of `ucolnet colorize`. `ours`:
the same with colours, by stage and in all, the model in memory already. Commands run in processes of their own, with
the start of Python and torch; memory is the largest resident size of the process. `plain`: the script that one would
write first, with `rgb2lab` and `lab2rgb` of scikit-image and the network on the whole picture. Its memory grows with
the picture: 3 megapixels alone.
"""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import skimage.data
import torch
from PIL import Image

from ucolnet_lib import colorizer as room
from ucolnet_lib.colorizer import Colorizer, colorize_files, with_chroma

SAVING = {"format": "JPEG", "quality": 95, "subsampling": 0}  # as `colorize_files`

PLAIN = """
import sys, numpy as np, torch
from PIL import Image
from skimage.color import lab2rgb, rgb2lab
from ucolnet_lib.colorizer import Colorizer

model = Colorizer.default().model
lab = rgb2lab(np.asarray(Image.open(sys.argv[1]).convert("RGB")))
with torch.inference_mode():
    ab = model(torch.from_numpy(lab[None, None, ..., 0]).float()).ab[0]
lab[..., 1:] = ab.permute(1, 2, 0).numpy()
rgb = (lab2rgb(lab) * 255).round().astype(np.uint8)
Image.fromarray(rgb).save(sys.argv[2], format="JPEG", quality=95, subsampling=0)
"""

PILLOW = """
import sys
from PIL import Image

Image.open(sys.argv[1]).save(sys.argv[2], format="JPEG", quality=95, subsampling=0)
"""

MEASURED = """
import resource, subprocess, sys, time

start = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, capture_output=True)
seconds = time.perf_counter() - start
# The largest of the children that have ended; Linux counts in KiB, macOS in bytes.
print(seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
"""


def photograph(path: Path, width: int, height: int) -> Path:
    enlarged = Image.fromarray(skimage.data.coffee()).resize((width, height), Image.Resampling.BICUBIC)
    noise = np.random.default_rng(0).normal(0, 4, (height, width, 3)).astype(np.float32)
    Image.fromarray((np.asarray(enlarged) + noise).round().clip(0, 255).astype(np.uint8)).save(path, **SAVING)
    return path


def seconds(work) -> float:
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - start)
    return best


def command(*arguments) -> tuple[float, float]:
    """Seconds and bytes of a command; the best of three."""
    call = [sys.executable, "-c", MEASURED, sys.executable, *map(str, arguments)]
    runs = [subprocess.run(call, check=True, capture_output=True, text=True).stdout.split() for _ in range(3)]
    return min(float(run[0]) for run in runs), min(float(run[1]) for run in runs)


def test_twelve_megapixels(tmp_path):
    out = tmp_path
    photo, small = photograph(out / "12.jpg", 4000, 3000), photograph(out / "3.jpg", 2000, 1500)
    print(f"\n4000 x 3000, {photo.stat().st_size / 1e6:.1f} MB, {torch.get_num_threads()} threads")
    colorizer = Colorizer.default()

    pillow = seconds(lambda: Image.open(photo).save(out / "pillow.jpg", **SAVING))
    whole = seconds(lambda: colorize_files([photo], out / "ours", colorizer, overwrite=True, progress=False))
    print(f"decode + encode, Pillow {1000 * pillow:7.0f} ms")
    print(f"ours, model in memory   {1000 * whole:7.0f} ms, {whole / pillow:.2f} times as long")

    image = room._read(photo)
    lightness = room._lightness(image)
    shrunk = colorizer._shrink(lightness)
    ab = colorizer._predict(shrunk)
    rgb = with_chroma(lightness, ab, shrunk)
    stages = {
        "decode": lambda: room._read(photo),
        "lightness": lambda: room._lightness(image),
        "shrink": lambda: colorizer._shrink(lightness),
        "network": lambda: colorizer._predict(shrunk),
        "chroma to RGB": lambda: with_chroma(lightness, ab, shrunk),
        "encode": lambda: room._write_jpeg(rgb, out / "stage.jpg"),
    }
    for name, work in stages.items():
        print(f"  {name:22}{1000 * seconds(work):7.0f} ms")

    for name, arguments in {
        "Pillow": ("-c", PILLOW, photo, out / "a.jpg"),
        "ucolnet colorize": ("-m", "ucolnet_lib.cli", "colorize", photo, "--out", out / "command", "--overwrite"),
        "ucolnet colorize, 3 MP": ("-m", "ucolnet_lib.cli", "colorize", small, "--out", out / "command", "--overwrite"),
        "plain, 3 MP": ("-c", PLAIN, small, out / "plain.jpg"),
    }.items():
        took, memory = command(*arguments)
        print(f"command {name:24}{took:6.2f} s, {memory / 1e9:5.2f} GB", flush=True)
