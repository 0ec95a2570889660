"""The report for looking: the table, and the photographs in which a variant loses most and least, with what was seen.

One HTML file that needs nothing else: no script, no network; its pictures are inside. It holds photographs, so it
belongs to whoever has the right to show them, and never into a repository.
"""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
import pandas as pd
from PIL import Image

from ucolnet_lib.color import rgb8_to_lab
from ucolnet_lib.data.coco import CLASS_NAMES, Annotation, CocoSplit
from ucolnet_lib.evaluation.detection import CONFIDENCE, IOU, Detections, match
from ucolnet_lib.evaluation.evaluate import Evaluation
from ucolnet_lib.evaluation.systems import FULL_LIGHTNESS, MATCHED_GRAY, System
from ucolnet_lib.evaluation.table import EVALUATION_CAPTION, EVALUATION_COLUMNS, by_detector, text_cells

SIDE = 420
"""The longer side of a picture in the report, in pixels."""

SHOWN, SHOWN_IN_ALL = 6, 72
"""At most so many photographs are shown as the worst and as the best of a pair, and in the whole report."""

JPEG_QUALITY = 75

_LETTER = 6.5
"""Width of a letter of a box's name, about."""


def report(evaluation: Evaluation, photos: CocoSplit, systems: Sequence[System]) -> str:
    """The page as HTML.

    With a detector, the original stands against `gray`, and against each model (with full lightness) and each folder
    of pictures: the photographs in which most, and in which fewest objects are lost. Their pictures are made again.

    Args:
        photos, systems: those of the evaluation.
    """
    first, measured = evaluation.rows[0], {row["name"] for row in evaluation.rows}
    comparable = "original" in measured and not evaluation.per_object.empty
    variants = [v for v in _compared(systems) if v in measured] if comparable else []
    places = [(variant, detector) for detector in by_detector(evaluation.rows) for variant in variants]
    shown = max(1, min(SHOWN, SHOWN_IN_ALL // (2 * max(1, len(places)))))
    return _PAGE.format(
        style=_STYLE,
        images=f"{first['images']:,}",
        split=escape(photos.split),
        gray=first["gray_images"],
        objects=f"{first['objects']:,}",
        tables="\n".join(_table(name, rows) for name, rows in by_detector(evaluation.rows).items()),
        reading=_READING if places else "<p>Without a detector and objects there are no pictures to compare.</p>",
        contents="".join(f"<p><a href='#pair-{i}'>{_title(*place)}</a></p>\n" for i, place in enumerate(places)),
        pairs="\n".join(
            f"<h2 id='pair-{i}'>{_title(*place)}</h2>\n{_pair(evaluation, photos, systems, *place, shown)}"
            for i, place in enumerate(places)
        ),
    )


def losses(evaluation: Evaluation, variant: str, detector: str) -> pd.DataFrame:
    """What a variant loses, photograph by photograph, from the most to the least.

    Index: image_id. Columns: objects; in_original, in_variant: recognised there; lost: recognised in the original but
    not in the variant; found: the other way round; share: lost, as a fraction of in_original. Photographs in whose
    original nothing is recognised are left out. Ties of `lost` go by share, then by the id.
    """
    table = evaluation.per_object
    table = table[(table["detector"] == detector) & table["variant"].isin(["original", variant])]
    hits = table.pivot(index=["image_id", "object"], columns="variant", values="recognised")
    original, other = hits["original"].astype(bool), hits[variant].astype(bool)
    flags = {"in_original": original, "in_variant": other, "lost": original & ~other, "found": other & ~original}
    counts = pd.DataFrame({"objects": 1} | flags).groupby(level="image_id").sum().astype(int)
    counts = counts[counts["in_original"] > 0]
    counts["share"] = counts["lost"] / counts["in_original"]
    return counts.sort_index().sort_values(["lost", "share"], ascending=False, kind="stable")


def extremes(table: pd.DataFrame, count: int) -> tuple[list[int], list[int]]:
    """Image ids of the worst and the best photographs of `losses`, none in both.

    The worst have lost something. The best have lost the fewest objects; among equals come those with the smaller
    share, and where nothing is lost at all those with the most objects.
    """
    worst = table[table["lost"] > 0].head(count)
    rest = table.drop(worst.index).sort_values(
        ["lost", "share", "in_original"], ascending=[True, True, False], kind="stable"
    )
    return list(worst.index), list(rest.head(count).index)


def _compared(systems: Iterable[System]) -> list[str]:
    """The variants that are shown beside the original."""
    variants = ["gray"]
    for system in systems:
        if system.kind != "control":
            full = system.variants[0] + FULL_LIGHTNESS
            variants.append(full if full in system.variants else system.variants[0])
    return variants


# The table.


def _table(detector: str | None, rows: Sequence[dict]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in EVALUATION_COLUMNS)
    body = "\n".join(
        f"<tr><th>{escape(name)}</th>{''.join(map(_number, numbers))}</tr>"
        for name, *numbers in text_cells(rows, EVALUATION_COLUMNS)
    )
    title = f"Numbers, with the detector {escape(detector)}" if detector else "Numbers, without a detector"
    return (
        f"<h2>{title}</h2>\n<p class='small narrow'>The table is wider than the screen: move it sideways.</p>\n"
        f"<div class='wide'><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>"
        f"</table></div>\n<p class='small'>{escape(EVALUATION_CAPTION)}</p>\n"
        f"<p class='small'>Signature: <code>{escape(rows[0]['signature'])}</code></p>"
    )


def _number(cell: str) -> str:
    number, bracket, interval = cell.partition(" (")
    below = f"<br><small>({escape(interval)}</small>" if bracket else ""
    return f"<td>{escape(number)}{below}</td>"


# Original against variant.


def _pair(
    evaluation: Evaluation, photos: CocoSplit, systems: Sequence[System], variant: str, detector: str, shown: int
) -> str:
    table = losses(evaluation, variant, detector)
    parts = [
        f"<p>Of {table['in_original'].sum():,} objects recognised in the originals, {table['lost'].sum():,} are lost "
        f"in {escape(variant)}; {(table['lost'] > 0).sum():,} of {len(table):,} photographs lose something. "
        f"{escape(_cause(variant))}</p>"
    ]
    images = evaluation.per_image
    gray = images.loc[images["gray_photograph"].astype(bool), "image_id"]
    worst, best = extremes(table[~table.index.isin(gray)], shown)
    for title, ids in (("Most lost", worst), ("Least lost", best)):
        if ids:
            parts.append(f"<h3>{title}</h3>")
            parts += [_row(evaluation, photos, systems, variant, detector, i, table.loc[i]) for i in ids]
    return "\n".join(parts)


def _title(variant: str, detector: str) -> str:
    return f"{escape(variant)} against the original, seen by {escape(detector)}"


def _cause(variant: str) -> str:
    """What else than colour may be the reason for a loss."""
    if variant == "gray" or variant.endswith(FULL_LIGHTNESS):
        return "The lightness is the photograph's own at full resolution: what is lost is lost to the colours."
    return f"What is lost may be lost to the colours or to the resolution: see {variant + MATCHED_GRAY} in the table."


def _row(
    evaluation: Evaluation, photos: CocoSplit, systems: Sequence[System], variant: str, detector: str, image_id: int,
    counts: pd.Series,
) -> str:  # fmt: skip
    index = photos.ids.index(image_id)
    photo, objects = photos[index], photos.objects(index)
    system = next(s for s in systems if variant in s.variants)
    picture = system.colour(photo, rgb8_to_lab(photo.rgb)).pictures[variant]
    before, after = (evaluation.detections[name, detector][image_id] for name in ("original", variant))
    kept, hits = match(before, objects) >= 0, match(after, objects)
    lost = Counter(CLASS_NAMES[o.label] for o, was, hit in zip(objects, kept, hits, strict=True) if was and hit < 0)
    names = ", ".join(f"{count} {name}" for name, count in lost.most_common())
    numbers = [
        f"{counts['in_original']:.0f} of {counts['objects']:.0f} objects recognised in the original, "
        f"{counts['in_variant']:.0f} in {escape(variant)}.",
        f"<b class='lost'>Lost: {counts['lost']:.0f}</b> ({escape(names)})." if names else "Lost: 0.",
        f"Recognised only in {escape(variant)}: {counts['found']:.0f}.",
    ]
    left = _overlaid(photo.rgb, _object_boxes(objects, kept, hits), f"original {image_id} with its objects")
    right = _overlaid(picture, _detection_boxes(after, hits), f"{variant} {image_id} with what the detector sees")
    return (
        f"<article>\n<figure>{left}<figcaption>original</figcaption></figure>\n"
        f"<figure>{right}<figcaption>{escape(variant)}</figcaption></figure>\n"
        f"<div><h4>Image {image_id}</h4><p>{'<br>'.join(numbers)}</p><p class='small'>{_attribution(photos, index)}</p>"
        "</div>\n</article>"
    )


def _object_boxes(objects: Sequence[Annotation], kept: np.ndarray, hits: np.ndarray) -> list[tuple]:
    """(kind, name, x, y, width, height) of the objects that are recognised in the original."""
    return [
        ("lost" if hit < 0 else "kept", CLASS_NAMES[o.label], *o.box)
        for o, was, hit in zip(objects, kept, hits, strict=True)
        if was
    ]


def _detection_boxes(seen: Detections, hits: np.ndarray) -> list[tuple]:
    return [
        ("kept" if i in hits else "other", f"{CLASS_NAMES[label]} {score:.2f}", x, y, x2 - x, y2 - y)
        for i, ((x, y, x2, y2), score, label) in enumerate(zip(seen.boxes, seen.scores, seen.labels, strict=True))
        if score >= CONFIDENCE
    ]


def _overlaid(picture: np.ndarray, boxes: Sequence[tuple], description: str) -> str:
    """A picture as an SVG with boxes and names over it. Boxes are in pixels of the picture."""
    height, width = picture.shape[:2]
    scale = SIDE / max(height, width)
    shown = max(1, round(width * scale)), max(1, round(height * scale))
    image = Image.fromarray(picture)
    if scale < 1:
        image = image.resize(shown, Image.Resampling.LANCZOS)
    jpeg = io.BytesIO()
    image.save(jpeg, format="JPEG", quality=JPEG_QUALITY, optimize=True)
    parts = [
        f"<svg width='{shown[0]}' viewBox='0 0 {shown[0]} {shown[1]}' role='img' aria-label='{escape(description)}'>"
        f"<image width='{shown[0]}' height='{shown[1]}' preserveAspectRatio='none' "
        f"href='data:image/jpeg;base64,{base64.b64encode(jpeg.getvalue()).decode()}'/>"
    ]
    # The names come last: no box lies on them.
    for kind, _, *box in boxes:
        x, y, w, h = (value * scale for value in box)
        parts.append(f"<rect class='{kind}' x='{x:.1f}' y='{y:.1f}' width='{w:.1f}' height='{h:.1f}'/>")
    for kind, name, x, y, w, _ in boxes:
        left, right = x * scale + 2, (x + w) * scale - 2
        # A name that would leave the picture on the right ends at its box instead.
        at = f"x='{left:.1f}'" if left + _LETTER * len(name) < shown[0] else f"x='{right:.1f}' text-anchor='end'"
        parts.append(f"<text class='{kind}' {at} y='{max(y, 0) * scale + 11:.1f}'>{escape(name)}</text>")
    return "".join([*parts, "</svg>"])


def _attribution(photos: CocoSplit, index: int) -> str:
    """Who made the photograph, and what may be done with it, as far as the annotation file says."""
    image = photos.coco.imgs.get(photos.ids[index], {})
    parts = [escape(photos.file(index).name)]
    if url := image.get("flickr_url"):
        parts.append(_link(url, "photograph on Flickr"))
    for entry in photos.coco.dataset["licenses"]:
        if "license" in image and entry["id"] == image["license"]:
            parts.append(_link(entry.get("url"), entry.get("name", "licence")))
    return " · ".join(parts)


def _link(url: object, text: object) -> str:
    # Annotation files come from anywhere: no javascript: behind a link.
    if str(url).startswith(("http://", "https://")):
        return f"<a href='{escape(str(url))}' rel='noreferrer'>{escape(str(text))}</a>"
    return escape(str(text))


# The page.

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 1260px; margin: 0 auto;
  padding: 1rem; }
h1, h2, h3, h4 { line-height: 1.25; margin: 1.6em 0 .5em; overflow-wrap: anywhere; }
h4 { margin: 0 0 .3em; }
p, li { max-width: 46rem; }
.small, figcaption, small { font-size: .8rem; color: #555; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
.narrow { display: none; }
table { border-collapse: collapse; font-size: .8rem; font-variant-numeric: tabular-nums; line-height: 1.25; }
th, td { padding: .3rem .35rem; text-align: right; white-space: nowrap; border-bottom: 1px solid #ddd;
  vertical-align: top; }
tr > :first-child { text-align: left; position: sticky; left: 0; background: #fff; }
tbody tr > :first-child { font-weight: normal; }
article { display: grid; grid-template-columns: repeat(2, minmax(0, 420px)) minmax(14rem, 1fr); gap: .8rem 1rem;
  padding: .9rem 0; border-top: 1px solid #ddd; }
article p { margin: 0 0 .6em; }
figure { margin: 0; }
svg { display: block; max-width: 100%; height: auto; }
rect { fill: none; stroke-width: 2; }
rect.kept { stroke: #0a0; }
rect.lost { stroke: #e00; stroke-dasharray: 6 3; }
rect.other { stroke: #fc0; stroke-dasharray: 2 3; }
text { font: 600 11px system-ui, sans-serif; fill: #fff; paint-order: stroke; stroke-width: 3; }
text.kept { stroke: #070; }
text.lost { stroke: #b00; }
text.other { stroke: #860; }
b.kept { color: #070; }
b.lost { color: #b00; }
b.other { color: #860; }
@media (max-width: 900px) {
  .narrow { display: block; }
  article { grid-template-columns: repeat(2, minmax(0, 420px)); }
  article div { grid-row: 1; grid-column: 1 / -1; }
}
@media (max-width: 560px) {
  article { grid-template-columns: minmax(0, 1fr); }
  article div { grid-column: 1; }
  tr > :first-child { white-space: normal; overflow-wrap: anywhere; min-width: 7rem; max-width: 7rem; }
}
"""

_READING = f"""<h2>How to read the pictures</h2>
<p>A detector looks for things in the original and in the picture beside it. An object of the annotations is
<i>recognised</i> when the detector finds its class at its place (their boxes overlap by {IOU} or more, confidence
{CONFIDENCE} or more).</p>
<ul>
<li>Left, the original. <b class="kept">Green</b>: recognised here and in the other picture. <b class="lost">Red,
dashed</b>: recognised here, lost in the other picture. An object that is not recognised here has no box.</li>
<li>Right, the other picture, and all that the detector sees in it. <b class="kept">Green</b>: recognises an object.
<b class="other">Yellow, dotted</b>: counts for nothing, because the class or the place is another, the object is
taken already, or nobody annotated it. The number is the detector's confidence, 0 to 1.</li>
</ul>
<p>These are the habits of one detector, not of people: another one loses other things. The photographs were chosen as
the extremes, so they are not typical; the table is. Those that are gray themselves are left out: they have no colour to
lose.</p>"""

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>What a detector still recognises</title>
<style>{style}</style>
</head>
<body>
<h1>What a detector still recognises</h1>
<p>{images} photographs of {split}, {gray} of them gray themselves, with {objects} annotated objects. The originals and
other controls stand beside every colouring: only the difference to a control says something about colour.</p>
{tables}
{reading}
{contents}
{pairs}
</body>
</html>
"""
