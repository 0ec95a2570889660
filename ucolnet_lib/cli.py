"""`ucolnet ...`: each command parses, calls one function of the library, and prints one sentence on error."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ucolnet_lib.common import UcolnetError

# Imports of the rooms stand inside the commands: `ucolnet --help` answers at once,
# and who only evaluates needs no training packages.

app = typer.Typer(
    help="Grayscale image colorization helped by semantic segmentation: train, colour, evaluate, reproduce.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Fetch, draw, prepare and look at data.", no_args_is_help=True)
app.add_typer(data_app, name="data")
study_app = typer.Typer(help="Whole studies, with several seeds.", no_args_is_help=True)
app.add_typer(study_app, name="study")

Data = Annotated[Path, typer.Option(help="A COCO folder: train2017/, val2017/, annotations/.")]


def main() -> None:
    """The entry point: errors of the reader's end with one sentence and exit code 2."""
    try:
        app()
    except UcolnetError as error:
        typer.echo(f"ucolnet: {error}", err=True)
        raise SystemExit(2) from None
    except SystemExit as end:
        if end.code == 130:  # what typer makes of Ctrl-C
            typer.echo("ucolnet: interrupted. Call the same command again to go on (train: with --resume).", err=True)
        raise


@data_app.command("toy")
def data_toy(
    out: Annotated[Path, typer.Argument(help="Folder to draw into; it must not hold anything yet.")],
    scenes: Annotated[int, typer.Option(help="Number of scenes; a fifth goes to val2017.")] = 1000,
    size: Annotated[int, typer.Option(help="Side of a scene in pixels.")] = 128,
    seed: Annotated[int, typer.Option(help="Another seed draws other scenes.")] = 0,
) -> None:
    """Draw the toy world: a COCO folder of simple scenes, with masks."""
    from ucolnet_lib.data.toy import draw_toy_world

    draw_toy_world(out, scenes=scenes, size=size, seed=seed)
    typer.echo(f"{scenes} scenes of {size} px lie in {out}.")


@data_app.command("coco")
def data_coco(
    out: Annotated[Path, typer.Argument(help="The COCO folder: new, or of an earlier call, which goes on.")],
    split: Annotated[str, typer.Option(help="train2017 (19 GB in all) or val2017 (0.8 GB).")],
    limit: Annotated[int | None, typer.Option(min=1, help="So many images only, one by one; always the same.")] = None,
    ids: Annotated[Path | None, typer.Option(help="A text file: these images only, one id a line.")] = None,
    categories: Annotated[
        str | None, typer.Option(metavar="NAME,NAME", help="Only images with an object of one of these categories.")
    ] = None,
    mirror: Annotated[
        str | None, typer.Option(metavar="URL", help="Another server, with the layout of images.cocodataset.org.")
    ] = None,
) -> None:
    """Fetch photographs and masks of COCO 2017; after an interruption the same command goes on."""
    from ucolnet_lib.data.choice import read_ids
    from ucolnet_lib.data.fetch import fetch_coco

    names = [name.strip() for name in categories.split(",")] if categories else []
    fetch_coco(out, split, limit, read_ids(ids) if ids else None, names, mirror, say=typer.echo)


@data_app.command("prepare")
def data_prepare(
    sources: Annotated[
        list[Path], typer.Argument(help="COCO folders, or folders of photographs without masks; they are joined.")
    ],
    out: Annotated[Path, typer.Argument(help="Folder for the prepared set: new, or begun by the same command.")],
    size: Annotated[int, typer.Option(help="Shorter side in pixels; smaller photographs stay as they are.")] = 256,
) -> None:
    """Make photographs and masks small, once, in a few large files: training reads them many times as fast."""
    from ucolnet_lib.data.prepare import closing, prepare

    typer.echo(closing(prepare(sources, out, size), out))


@data_app.command("show")
def data_show(
    folder: Annotated[Path, typer.Argument(help="A COCO folder, a prepared set, or a plain folder of photographs.")],
    split: Annotated[
        str | None, typer.Option(help="train2017 or val2017; else the first of them that the folder has.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for figures and tables; else runs/data-NAME-SPLIT, of FOLDER's name.")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Look at so many photographs, always the same; 0: all.")] = 500,
) -> None:
    """Look at data: photographs beside L, ab and classes; what classes, colours and gray photographs there are."""
    from ucolnet_lib.figures.data import show_data

    summary, out = show_data(folder, split, out, limit)
    photos = summary.photographs
    typer.echo(
        f"{summary.name}: {len(photos):,} of {summary.size:,} photographs, {photos['gray'].sum():,} of them gray, or "
        f"nearly; {photos['labelled'].mean():.1%} of their pixels are labelled. Figures and tables lie in {out}."
    )


@app.command()
def models(
    width: Annotated[float, typer.Option(help="Common factor on all channel widths.")] = 1.0,
    size: Annotated[int, typer.Option(help="Side of the picture in pixels, for the multiply-adds.")] = 224,
) -> None:
    """List the models with their parameters and multiply-adds."""
    from ucolnet_lib.models import BEYOND_THE_PAPER, MODELS, count_multiply_adds, count_parameters, create_model

    typer.echo(f"{'model':<28}{'parameters':>14}{'multiply-adds':>16}   (width {width}, {size} x {size} px)")
    for name in MODELS | BEYOND_THE_PAPER:
        model = create_model(name, width=width).eval()
        typer.echo(f"{name:<28}{count_parameters(model):>14,}{count_multiply_adds(model, size) / 1e9:>14.2f} G")


@app.command()
def train(
    data: Data,
    out: Annotated[Path, typer.Option(help="The run folder to write.")],
    model: Annotated[
        str | None,
        typer.Option(help="A name that `ucolnet models` lists; else ucolnet_v3, or the model of the recipe demo."),
    ] = None,
    recipe: Annotated[str, typer.Option(help="paper, t4, a100, demo, study, sample, toy or smoke.")] = "toy",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one number of the recipe.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was interrupted.")] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write OUT/tensorboard too; needs the package tensorboard.")
    ] = False,
) -> None:
    """Train one model on a COCO folder."""
    from accelerate import PartialState

    from ucolnet_lib.figures.filmstrip import filmstrip
    from ucolnet_lib.figures.style import save
    from ucolnet_lib.recipes import OWN_MODEL, recipe_for
    from ucolnet_lib.training import train as train_model
    from ucolnet_lib.training.tensorboard import TensorBoard

    model = model or OWN_MODEL.get(recipe, "ucolnet_v3")
    numbers = recipe_for(recipe, model, parse_settings(settings))
    on_epoch = TensorBoard() if tensorboard else None
    run = train_model(model, numbers, data, out, resume, say=typer.echo, on_epoch=on_epoch)
    processes = PartialState()
    if processes.is_main_process:
        last, best = run.history.iloc[-1], run.history["validation_color"].min()
        typer.echo(f"{run.path}: {int(last['epoch'])} epochs, validation colour loss {best:.4f}.")
        if (run.path / "samples").is_dir():  # old runs have none
            save(filmstrip(run.path), run.path / "filmstrip")
    processes.destroy_process_group()


def parse_settings(settings: list[str] | None) -> dict[str, str]:
    """`["epochs=3"]` -> `{"epochs": "3"}`."""
    pairs = {}
    for text in settings or []:
        key, equals, value = text.partition("=")
        if not equals:
            raise UcolnetError(f"--set {text}: write KEY=VALUE, such as --set epochs=3.")
        pairs[key.strip()] = value.strip()
    return pairs


@app.command()
def colorize(
    photos: Annotated[list[Path], typer.Argument(help="Pictures, or folders of pictures.")],
    out: Annotated[Path, typer.Option(help="Folder for the coloured pictures.")],
    model: Annotated[
        Path | None,
        typer.Option(
            help="A run folder of `ucolnet train` or `ucolnet reproduce`; else the model that ships with ucolnet."
        ),
    ] = None,
    vividness: Annotated[
        float, typer.Option(help="Factor on the predicted colours, 0 (gray) to 3; 1 is what the model predicts.")
    ] = 1.0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace pictures that are there already.")] = False,
    device: Annotated[str, typer.Option(help="cpu, cuda or mps.")] = "cpu",
) -> None:
    """Colour photographs; the lightness stays as it is, at full resolution."""
    from ucolnet_lib.colorizer import Colorizer, colorize_files

    colorizer = Colorizer.load(model, device, vividness) if model else Colorizer.default(device, vividness)
    report = colorize_files(photos, out, colorizer, overwrite)
    typer.echo(f"{len(report.written)} coloured in {out}.")
    if report.skipped:
        typer.echo(f"{len(report.skipped)} were there already and stay as they are; --overwrite replaces them.")
    if report.failed:
        lines = "\n".join(f"  {why}" for _, why in report.failed)
        raise UcolnetError(f"{len(report.failed)} could not be coloured:\n{lines}")


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="The run folder of an `ucolnet train`.")],
    out: Annotated[Path, typer.Argument(help="The folder to write.")],
    temperature: Annotated[
        float | None, typer.Option(help="Of the annealed mean, above 0 and up to 1; for models that predict bins.")
    ] = None,
    gain: Annotated[float | None, typer.Option(help="A factor on the chroma; for models beyond the paper.")] = None,
) -> None:
    """Write the best model of a run as a small folder: half precision, with a checksum."""
    from ucolnet_lib.training.export import export_run

    folder = export_run(run, out, temperature, gain)
    size = (folder / "model.safetensors").stat().st_size / 1e6
    typer.echo(f"{folder}: {size:.1f} MB. Use it: ucolnet colorize PHOTO --model {folder} --out OUT")


@app.command()
def reproduce(
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the results; else runs/reproduce or, with --data NAME, runs/reproduce-NAME"),
    ] = None,
    profile: Annotated[str, typer.Option(help="smoke (seconds), toy (minutes) or full (the paper, on a GPU).")] = "toy",
    data: Annotated[Path | None, typer.Option(help="A COCO folder; without it the toy world is drawn.")] = None,
    detector: Annotated[Path | None, typer.Option(help="YOLO weights; without it a toy detector is trained.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one number of the recipe.")
    ] = None,
) -> None:
    """The paper's whole experiment: data, models, detector, evaluation, tables and figures."""
    from ucolnet_lib.experiments.reproduce import reproduce as run_experiment

    run_experiment(out, profile, data, detector, parse_settings(settings), say=typer.echo)


@app.command()
def evaluate(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder for tables, figures, the report and what goes on after a kill.")],
    runs: Annotated[
        list[Path] | None, typer.Argument(help="Run folders of `ucolnet train`; without one the controls alone.")
    ] = None,
    detector: Annotated[
        list[str] | None,
        typer.Option(help="A referee: YOLO weights, torchvision:NAME, or a folder of detections. May be repeated."),
    ] = None,
    images: Annotated[
        list[str] | None, typer.Option(metavar="NAME=FOLDER", help="Pictures that another system coloured.")
    ] = None,
    split: Annotated[str, typer.Option(help="train2017 or val2017.")] = "val2017",
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Evaluate the photographs that all folders of pictures have.")
    ] = False,
    leave_out_gray: Annotated[
        bool, typer.Option("--leave-out-gray", help="Leave out photographs that are gray themselves.")
    ] = False,
    keep_pictures: Annotated[
        bool, typer.Option("--keep-pictures", help="Write all pictures into OUT/pictures too, for your own detector.")
    ] = False,
) -> None:
    """Measure colourings beside all controls: RMSE, detection, image metrics, with intervals, tables and a report."""
    from ucolnet_lib.experiments.evaluate_runs import evaluate_runs, parse_pictures

    evaluate_runs(
        runs or [], data, out, detector or [], parse_pictures(images or []), split, allow_missing, leave_out_gray,
        keep_pictures, say=typer.echo,
    )  # fmt: skip


@study_app.command("models")
def study_models(
    out: Annotated[
        Path | None, typer.Option(help="The study's folder; else results/study-models, for others runs/study-models.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="A COCO folder; without it the toy world is drawn.")] = None,
    detector: Annotated[
        Path | None, typer.Option(help="YOLO weights; without it a toy detector, or none with --data.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Trainings of each model.")] = 3,
    profile: Annotated[str, typer.Option(help="smoke (minutes), toy (hours) or full (the paper, on a GPU).")] = "toy",
    jobs: Annotated[
        int | None, typer.Option(help="Trainings side by side; default one for each core, with a GPU one.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one number of the recipe.")
    ] = None,
) -> None:
    """All models to their end, with seeds and controls: every two compared, and what the paper says of them."""
    from ucolnet_lib.experiments.study_models import study_models as run_study

    run_study(out, data, detector, seeds, profile, parse_settings(settings), jobs, say=typer.echo)


@study_app.command("overfitting")
def study_overfitting(
    out: Annotated[
        Path | None, typer.Option(help="The study's folder; else results/overfitting, for others runs/overfitting.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="A COCO folder; without it the toy world is drawn.")] = None,
    seeds: Annotated[int, typer.Option(help="Trainings of each model, data size and strength of L2.")] = 3,
    profile: Annotated[str, typer.Option(help="smoke (a minute), toy (an hour) or full (paper, on a GPU).")] = "toy",
    jobs: Annotated[
        int | None, typer.Option(help="Trainings side by side; default one for each core, with a GPU one.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one number of the recipe.")
    ] = None,
) -> None:
    """When do v1 and v3 overfit, and does L2 help: on a small and on the whole data set, with seeds."""
    from ucolnet_lib.experiments.study_overfitting import study_overfitting as run_study

    run_study(out, data, seeds, profile, parse_settings(settings), jobs, say=typer.echo)


@study_app.command("coco-sample")
def study_coco_sample(
    data: Data,
    out: Annotated[
        Path | None,
        typer.Option(help="The study's folder; else results/coco-sample for a COCO folder of this name, or runs/..."),
    ] = None,
    detector: Annotated[
        list[str] | None, typer.Option(help="A referee, as `ucolnet evaluate` takes it. May be repeated.")
    ] = None,
    run: Annotated[
        list[Path] | None, typer.Option(help="A model trained elsewhere, for the same table: its folder. Repeatable.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="Trainings of each model.")] = 2,
    profile: Annotated[str, typer.Option(help="smoke (minutes), toy (an hour) or full (the paper, on a GPU).")] = "toy",
    jobs: Annotated[
        int | None, typer.Option(help="Trainings side by side; default one for each core, with a GPU one.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one number of the recipe.")
    ] = None,
) -> None:
    """The paper's models on a few real photographs: tested beside gray, with seeds and intervals."""
    from ucolnet_lib.experiments.study_coco_sample import study_coco_sample as run_study

    run_study(
        data, out, detector or [], run or [], seeds, profile, parse_settings(settings), jobs, say=typer.echo
    )  # fmt: skip


@study_app.command("beyond")
def study_beyond(
    data: Annotated[Path, typer.Option(help="A prepared data set to train on, see `ucolnet data prepare`.")],
    test: Annotated[Path, typer.Option(help="A COCO folder; models are tested on its val2017.")],
    out: Annotated[
        Path | None, typer.Option(help="The study's folder; else results/beyond, for other profiles runs/beyond.")
    ] = None,
    detectors: Annotated[
        list[str] | None, typer.Option("--detector", help="YOLO weights; name several for several columns.")
    ] = None,
    others: Annotated[
        list[Path] | None, typer.Option("--run", help="A run folder or an exported model, for the same table.")
    ] = None,
    profile: Annotated[str, typer.Option(help="smoke, toy or full.")] = "toy",
    jobs: Annotated[int | None, typer.Option(help="Trainings side by side; else one for each core.")] = None,
) -> None:
    """Beyond the paper: other colour losses, stronger augmentation, a mean of the weights, one at a time."""
    from ucolnet_lib.experiments.study_beyond import study_beyond as run_study

    run_study(data, test, out, detectors or (), others or (), profile, jobs, say=typer.echo)


@study_app.command("paper-numbers")
def study_paper_numbers(
    data: Data,
    detector: Annotated[list[str], typer.Option(help="A referee, as `ucolnet evaluate` takes it. May be repeated.")],
    out: Annotated[Path, typer.Option(help="Folder for the table, the figure and what goes on after a kill.")] = Path(
        "runs/paper-numbers"  # not results/: other data must not replace the committed run
    ),
) -> None:
    """Gray pictures along many paths: with which of them are the paper's numbers consistent?"""
    from ucolnet_lib.experiments.paper_numbers import paper_numbers

    paper_numbers(data, detector, out, say=typer.echo)


@app.command()
def doctor() -> None:
    """Check this machine and the installed packages, and say how to mend what is wrong."""
    from ucolnet_lib.doctor import main as check

    raise SystemExit(check())


if __name__ == "__main__":
    main()
