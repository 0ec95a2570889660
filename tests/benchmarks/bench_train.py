"""How fast a training step is, setting by setting, in one run:

    python tests/benchmarks/bench_train.py --json FILE [--size 64] [--width 0.5] [--batch 16] [--seconds 10]

`plain` is the script that one would write first: float32, channels first, losses of torch and of
segmentation_models.pytorch. Each further row adds one setting to the row before; the last is `ours`. `peer` is a U-Net
of segmentation_models.pytorch with about as many multiply-adds, trained like `ours`. In all rows the data lie in the
device's memory.

Without a graphics card the defaults are a v3 of 16 channels at 64 px; with one, the whole v3 at 224 px.

For each row: images a second, and the share of the device's arithmetic: multiply-adds, counted by torch, over what one
large matrix product reaches here in the row's precision; on a graphics card also the peak of its memory. For `ours`
the share of the roofline: the time that all layers would need if each took the larger of two, its arithmetic at that
peak and its bytes at the bandwidth of a large copy. At last, how long `plain` and `ours` train to one validation loss.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import segmentation_models_pytorch as smp
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ucolnet_lib.common import IGNORE_INDEX, seed_everything
from ucolnet_lib.data.batches import Batch, PhotographCrops, create_loader, split_indices, to_batch
from ucolnet_lib.data.prepared import open_split
from ucolnet_lib.data.toy import draw_toy_world
from ucolnet_lib.losses import LossTerms, create_loss
from ucolnet_lib.models import Output, create_model

CLASSES = 81
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
BF16 = torch.cuda.is_bf16_supported(including_emulation=False) if DEVICE.type == "cuda" else (
    torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
)  # fmt: skip


def plain_loss() -> Callable[[Output, Batch], torch.Tensor]:
    dice = smp.losses.DiceLoss("multiclass", ignore_index=IGNORE_INDEX)

    def loss(output: Output, batch: Batch) -> torch.Tensor:
        color = F.mse_loss(output.ab / 110, batch.ab / 110)
        segmentation = F.cross_entropy(output.logits, batch.semantic_map, ignore_index=IGNORE_INDEX)
        segmentation = segmentation + dice(output.logits, batch.semantic_map)
        return color + (color / segmentation).detach() * segmentation

    return loss


def our_loss() -> Callable[[Output, Batch], torch.Tensor]:
    function = create_loss("ucolnet_v3", "balanced", 1.0).to(DEVICE)
    return lambda output, batch: function(output, batch.ab, batch.semantic_map).loss


class Trainer:
    """One way to train; `settings`: which of losses, channels_last, bf16, fused, compile are on."""

    def __init__(self, model: nn.Module, settings: set[str]):
        self.settings = settings
        self.model = model.to(DEVICE).train()
        if "channels_last" in settings:
            self.model = self.model.to(memory_format=torch.channels_last)
        if "compile" in settings:
            self.model.compile()
        self.optimizer = torch.optim.SGD(
            self.model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-5, fused="fused" in settings
        )
        self.loss = our_loss() if "losses" in settings else plain_loss()

    def autocast(self):
        return torch.autocast(DEVICE.type, torch.bfloat16) if "bf16" in self.settings else nullcontext()

    def step(self, batch: Batch) -> torch.Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        with self.autocast():
            output = self.model(batch.lightness)
        loss = self.loss(Output(output.ab.float(), output.logits.float()), batch)
        loss.backward()
        self.optimizer.step()
        return loss


class Peer(nn.Module):
    """A U-Net of segmentation_models.pytorch whose channels are ab and the classes together."""

    def __init__(self, decoder: list[int]):
        super().__init__()
        self.unet = smp.Unet(
            "resnet18", encoder_weights=None, in_channels=1, classes=2 + CLASSES, decoder_channels=decoder
        )

    def forward(self, lightness: torch.Tensor) -> Output:
        out = self.unet(lightness / 100).float()
        return Output(110 * torch.tanh(out[:, :2]), out[:, 2:])


def peer_like(multiply_adds: int, size: int) -> list[int]:
    """The peer's decoder, scaled until the peer has about as many multiply-adds."""
    decoders = [[max(4, int(c * scale / 8)) for c in (256, 128, 64, 32, 16)] for scale in range(1, 81)]
    with torch.device("meta"):
        return min(decoders, key=lambda decoder: abs(count(Peer(decoder), size, training=False) - multiply_adds))


def count(model: nn.Module, size: int, training: bool) -> int:
    """Multiply-adds of one picture, forward, or forward and backward; counted on shapes alone."""
    model = model.to("meta").train()
    with FlopCounterMode(display=False) as counter:
        output = model(torch.zeros(2, 1, size, size, device="meta"))
        if training:
            (output.ab.sum() + output.logits.sum()).backward()
    return counter.get_total_flops() // 2 // 2


def wait() -> None:
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def rate(work: Callable[[], object], seconds: float) -> float:
    """Calls a second: the median of five stretches, after a warm-up."""
    for _ in range(3):
        work()
    wait()
    rates = []
    for _ in range(5):
        start, calls = time.perf_counter(), 0
        while time.perf_counter() - start < seconds / 5 or calls < 2:
            work()
            calls += 1
            wait()
        rates.append(calls / (time.perf_counter() - start))
    return sorted(rates)[2]


def peak(dtype: torch.dtype) -> float:
    """Multiply-adds a second of one large matrix product."""
    side = 8192 if DEVICE.type == "cuda" else 2048
    a, b = (torch.randn(side, side, device=DEVICE, dtype=dtype) for _ in range(2))
    return rate(lambda: a @ b, 2) * side**3


def bandwidth() -> float:
    """Bytes a second, read and written, of one large copy."""
    a = torch.empty(2**28 if DEVICE.type == "cuda" else 2**26, dtype=torch.uint8, device=DEVICE)
    b = torch.empty_like(a)
    return rate(lambda: b.copy_(a), 1) * 2 * a.numel()


def roofline(model: nn.Module, size: int, batch: int, element: int, arithmetic: float, bytes_a_second: float) -> float:
    """Seconds that a step of `batch` pictures needs at least, layer by layer.

    Backward, a layer computes and moves twice what it does forward: the gradients of its input and of its weights.
    """
    seconds = 0.0

    def look(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal seconds
        moved = element * (inputs[0].numel() + output.numel()) + 4 * sum(p.numel() for p in layer.parameters())
        products = 0
        if isinstance(layer, nn.Conv2d):
            products = output.numel() * layer.weight[0].numel()
        elif isinstance(layer, nn.ConvTranspose2d):
            products = inputs[0].numel() * layer.weight[0].numel()
        seconds += 3 * max(products / arithmetic, moved / bytes_a_second)

    model = model.to("meta").train()
    hooks = [m.register_forward_hook(look) for m in model.modules() if not list(m.children())]
    model(torch.zeros(batch, 1, size, size, device="meta"))
    for hook in hooks:
        hook.remove()
    return seconds


def time_to_loss(settings: set[str], width: float, goal: float, most_seconds: float) -> dict[str, float]:
    """Train on drawn scenes until the validation colour loss is at most `goal`; seconds of training alone."""
    with tempfile.TemporaryDirectory() as folder:
        split = open_split(draw_toy_world(Path(folder) / "toy", scenes=400, size=64, progress=False), "train2017")
        training, validation = split_indices(split)
        loader = create_loader(PhotographCrops(split, training, 64, 0.75), 16)
        held_out = [to_batch(*part, DEVICE) for part in create_loader(PhotographCrops(split, validation, 64), 16)]
        seed_everything(0)
        trainer, spent, losses = Trainer(create_model("ucolnet_v3", width=width), settings), 0.0, []
        function = create_loss("ucolnet_v3", "balanced", 1.0).to(DEVICE).eval()
        while spent < most_seconds:
            loader.sampler.epoch = len(losses)
            batches = [to_batch(*part, DEVICE) for part in loader]
            trainer.model.train()
            start = time.perf_counter()
            for batch in batches:
                trainer.step(batch)
            wait()
            spent += time.perf_counter() - start
            trainer.model.eval()
            with torch.no_grad(), trainer.autocast():
                outputs = [trainer.model(b.lightness) for b in held_out]
                terms = [LossTerms(*function(o, b.ab, b.semantic_map)) for o, b in zip(outputs, held_out, strict=True)]
            losses.append(sum(t.color.item() for t in terms) / len(terms))
            if losses[-1] <= goal:
                return {"seconds": spent, "epochs": len(losses), "loss": losses[-1]}
    return {"seconds": float("inf"), "epochs": len(losses), "loss": min(losses)}


def arguments() -> argparse.Namespace:
    large = DEVICE.type == "cuda"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", required=True, type=Path)
    parser.add_argument("--size", type=int, default=224 if large else 64)
    parser.add_argument("--width", type=float, default=1.0 if large else 0.5)
    parser.add_argument("--batch", type=int, default=64 if large else 16)
    parser.add_argument("--seconds", type=float, default=10, help="for each row")
    parser.add_argument("--goal", type=float, default=0.035, help="validation colour loss for the time to it")
    return parser.parse_args()


def bytes_of(size: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random pictures, and maps of 8 x 8 patches of one class, as a loader gives them."""
    generator = torch.Generator().manual_seed(0)
    rgb = torch.randint(0, 256, (count, size, size, 3), generator=generator, dtype=torch.uint8)
    patches = torch.randint(0, CLASSES, (count, 8, 8), generator=generator).float()
    semantic_map = F.interpolate(patches[:, None], size=size, mode="nearest")[:, 0].to(torch.uint8)
    return rgb.to(DEVICE), semantic_map.to(DEVICE)


def main() -> None:
    options = arguments()
    size, count_a_batch = options.size, options.batch

    def v3() -> nn.Module:
        seed_everything(0)
        return create_model("ucolnet_v3", width=options.width)

    data = bytes_of(size, count_a_batch)
    batch = to_batch(*data)
    precise = torch.bfloat16 if BF16 else torch.float32
    peaks, copies = {dtype: peak(dtype) for dtype in {torch.float32, precise}}, bandwidth()
    decoder = peer_like(count(v3(), size, training=False), size)
    rows: list[dict] = []

    def measure(name: str, create: Callable[[], nn.Module], settings: list[str], lab_each_step: bool = False) -> dict:
        trainer = Trainer(create(), set(settings))
        if DEVICE.type == "cuda":
            torch.cuda.reset_peak_memory_stats()

        def step() -> None:
            trainer.step(to_batch(*data) if lab_each_step else batch)

        images = rate(step, options.seconds) * count_a_batch
        arithmetic = peaks[precise if "bf16" in settings else torch.float32]
        row = {"name": name, "images_per_second": images}
        row["share_of_peak"] = images * count(create(), size, training=True) / arithmetic
        if DEVICE.type == "cuda":
            row["memory_gb"] = torch.cuda.max_memory_allocated() / 2**30
        rows.append(row)
        print("  ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{v:28}" for k, v in row.items()), flush=True)
        return row

    settings = ["losses", "channels_last", *(["bf16"] if BF16 else []), "fused"]
    settings += ["compile"] if DEVICE.type == "cuda" else []
    plain = measure("plain", v3, [])
    for i, added in enumerate(settings, 1):
        measure(f"+ {added}", v3, settings[:i])
    ours = measure("ours", v3, settings, lab_each_step=True)  # bytes in memory, Lab at each step
    measure("peer, trained like ours", lambda: Peer(decoder), settings, lab_each_step=True)

    least = roofline(v3(), size, count_a_batch, 2 if BF16 else 4, peaks[precise], copies)
    ours["share_of_roofline"] = least * ours["images_per_second"] / count_a_batch
    times_as_fast = ours["images_per_second"] / plain["images_per_second"]
    print(f"ours is {times_as_fast:.2f} times as fast as plain, {ours['share_of_roofline']:.0%} of the roofline")
    times = {
        name: time_to_loss(set(used), 0.25, options.goal, 300) for name, used in (("plain", []), ("ours", settings))
    }
    for name, found in times.items():
        print(f"{name}: loss {found['loss']:.4f} after {found['seconds']:.1f} s of training, {found['epochs']} epochs")
    content = {
        "device": torch.cuda.get_device_name() if DEVICE.type == "cuda" else f"CPU, {torch.get_num_threads()} threads",
        "torch": torch.__version__, "size": size, "width": options.width, "batch": count_a_batch,
        "multiply_adds_a_picture": count(v3(), size, training=True), "rows": rows, "time_to_loss": times,
        "peak_multiply_adds": {str(dtype): found for dtype, found in peaks.items()}, "copy_bytes_a_second": copies,
    }  # fmt: skip
    options.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
