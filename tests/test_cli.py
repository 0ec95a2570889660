"""The command line: bad input ends with one clear sentence and exit code 2, and leaves no half-written file."""

import importlib.util
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.data.mirror import serve, write_coco_site
from ucolnet_lib import cli
from ucolnet_lib.data.coco import CocoSplit
from ucolnet_lib.data.toy import draw_toy_world
from ucolnet_lib.evaluation.detection import Detections
from ucolnet_lib.evaluation.detections_file import write_detections
from ucolnet_lib.evaluation.gray_paths import GrayPaths
from ucolnet_lib.models import create_model
from ucolnet_lib.recipes import RECIPES
from ucolnet_lib.training import Run


def ucolnet(*arguments, cwd=None):
    """Run the command in a process of its own, as a reader does."""
    return subprocess.run(
        [sys.executable, "-m", "ucolnet_lib.cli", *map(str, arguments)],
        capture_output=True, text=True, timeout=300, cwd=cwd, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def assert_one_sentence(done, *words):
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    message = [line for line in done.stderr.splitlines() if line.startswith("ucolnet: ")]
    assert len(message) == 1, done.stderr
    for word in words:
        assert str(word) in message[0]


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return draw_toy_world(tmp_path_factory.mktemp("toy") / "world", scenes=12, size=32, progress=False)


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    Run(folder).describe("ucolnet_v3", RECIPES["smoke"], "toy")
    create_model("ucolnet_v3", width=0.125).save_pretrained(folder)
    return folder


def test_draw_train_colour(tmp_path):
    assert ucolnet("data", "toy", tmp_path / "world", "--scenes", 12, "--size", 32).returncode == 0
    settings = ["--set", "epochs=1", "--set", "size=16", "--set", "batch_size=4"]
    done = ucolnet("train", "--recipe", "smoke", "--data", tmp_path / "world", "--out", tmp_path / "run", *settings)
    assert done.returncode == 0, done.stderr
    assert "1 epochs" in done.stdout
    assert (tmp_path / "run" / "filmstrip.png").stat().st_size > 1000
    photos = tmp_path / "world" / "val2017"
    done = ucolnet("colorize", photos, "--out", tmp_path / "out", "--model", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert {p.name for p in (tmp_path / "out").iterdir()} == {p.name for p in photos.iterdir()}


def test_tensorboard_on_request(toy, tmp_path):
    command = ["train", "--recipe", "smoke", "--data", toy, "--out", tmp_path / "run", "--set", "size=16"]
    done = ucolnet(*command, "--set", "epochs=1", "--set", "batch_size=4", "--tensorboard")
    if importlib.util.find_spec("tensorboard"):
        assert done.returncode == 0 and list((tmp_path / "run" / "tensorboard").glob("events.*"))
    else:
        assert_one_sentence(done, "TensorBoard is not installed", "pip install tensorboard")
        assert not (tmp_path / "run").exists()


def test_models_are_listed():
    done = ucolnet("models", "--width", 0.25, "--size", 32)
    assert done.returncode == 0 and "ucolnet_v3_no_segmentation" in done.stdout


def test_missing_data_folder(tmp_path):
    done = ucolnet("train", "--data", tmp_path / "nothing", "--out", tmp_path / "run")
    assert_one_sentence(done, "does not exist", tmp_path / "nothing")
    assert list(tmp_path.iterdir()) == []


def test_annotation_file_cut_in_half(toy, tmp_path):
    world = shutil.copytree(toy, tmp_path / "world")
    file = world / "annotations" / "instances_train2017.json"
    text = file.read_text(encoding="utf-8")
    file.write_text(text[: len(text) // 2], encoding="utf-8")
    done = ucolnet("train", "--recipe", "smoke", "--data", world, "--out", tmp_path / "run")
    assert_one_sentence(done, file, "cut off")
    assert not (tmp_path / "run").exists()


def test_an_image_that_is_text(toy, tmp_path):
    world = shutil.copytree(toy, tmp_path / "world")
    photo = sorted((world / "train2017").iterdir())[0]
    photo.write_text("not a picture", encoding="utf-8")
    done = ucolnet("train", "--recipe", "smoke", "--data", world, "--out", tmp_path / "run")
    assert_one_sentence(done, photo, "no readable picture")
    assert not list((tmp_path / "run").glob("*.safetensors"))


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("colour=1", ["no key 'colour'", "learning_rate"]),
        ("epochs=many", ["whole number"]),
        ("learning_rate=fast", ["a number"]),
        ("learning_rate=-1", ["between"]),
        ("learning_rate=nan", ["between"]),
        ("channels_last=perhaps", ["true or false"]),
        ("optimizer=magic", ["sgd"]),
        ("epochs", ["KEY=VALUE"]),
    ],
)
def test_bad_settings(setting, words, toy, tmp_path):
    done = ucolnet("train", "--data", toy, "--out", tmp_path / "run", "--set", setting)
    assert_one_sentence(done, *words)
    assert not (tmp_path / "run").exists()


def test_a_recipe_brings_its_own_model(toy, tmp_path):
    """`demo` wants prepared data: that is said, and not that the model is wrong."""
    done = ucolnet("train", "--data", toy, "--out", tmp_path / "r", "--recipe", "demo")
    assert_one_sentence(done, "prepare")
    done = ucolnet("train", "--data", toy, "--out", tmp_path / "r", "--recipe", "demo", "--model", "ucolnet_v3")
    assert_one_sentence(done, "ucolnet_v3", "bins")


def test_unknown_model_and_recipe(toy, tmp_path):
    assert_one_sentence(ucolnet("train", "--data", toy, "--out", tmp_path / "r", "--model", "v9"), "v9", "ucolnet_v3")
    assert_one_sentence(ucolnet("train", "--data", toy, "--out", tmp_path / "r", "--recipe", "soup"), "soup", "toy")
    assert not (tmp_path / "r").exists()


def test_checkpoint_of_another_model(model_folder, tmp_path):
    folder = shutil.copytree(model_folder, tmp_path / "mixed")
    create_model("ucolnet_v2", width=0.125).save_weights(folder / "model.safetensors")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "gray.png")
    done = ucolnet("colorize", tmp_path / "gray.png", "--out", tmp_path / "out", "--model", folder)
    assert_one_sentence(done, "ucolnet_v2", "ucolnet_v3")
    assert not (tmp_path / "out").exists()


def test_missing_detector(toy, tmp_path):
    done = ucolnet("reproduce", "--data", toy, "--detector", tmp_path / "no.pt", "--out", tmp_path / "out")
    assert_one_sentence(done, tmp_path / "no.pt", "does not exist")
    assert not (tmp_path / "out").exists()


def test_study_paper_numbers(toy, tmp_path):
    shutil.copytree(toy, tmp_path / "world")
    photos = CocoSplit(toy, "val2017")
    perfect = {}
    for place, image_id in enumerate(photos.ids):
        objects = photos.objects(place)
        boxes = np.reshape([(x, y, x + w, y + h) for x, y, w, h in (o.box for o in objects)], (-1, 4))
        labels = np.array([o.label for o in objects], int)
        perfect[image_id] = Detections(boxes, np.full(len(objects), 0.9), labels)
    for variant in GrayPaths().variants:
        write_detections(tmp_path / "perfect" / f"{variant}.json", perfect)
    done = ucolnet("study", "paper-numbers", "--data", "world", "--detector", "perfect", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "in 69 more" in done.stdout
    results = (tmp_path / "runs" / "paper-numbers" / "results.json").read_text(encoding="utf-8")
    assert '"ucolnet study paper-numbers --data world --detector perfect"' in results
    assert str(tmp_path) not in results


def test_study_paper_numbers_with_a_missing_detector(toy, tmp_path):
    done = ucolnet("study", "paper-numbers", "--data", toy, "--detector", "no.pt", "--out", "out", cwd=tmp_path)
    assert_one_sentence(done, "no.pt", "does not exist")
    assert list(tmp_path.iterdir()) == []


def test_study_coco_sample_with_a_missing_detector(toy, tmp_path):
    done = ucolnet("study", "coco-sample", "--data", toy, "--detector", "no.pt", "--out", "out", cwd=tmp_path)
    assert_one_sentence(done, "no.pt", "does not exist")
    assert list(tmp_path.iterdir()) == []


def test_study_overfitting_compares_strengths_itself(tmp_path):
    done = ucolnet("study", "overfitting", "--seeds", "1", "--set", "weight_decay=1", "--out", "out", cwd=tmp_path)
    assert_one_sentence(done, "weight_decay", "Leave out")
    assert list(tmp_path.iterdir()) == []


def test_one_broken_picture_does_not_stop_the_rest(model_folder, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.fromarray(np.full((20, 30, 3), 90, np.uint8)).save(photos / "good.jpg")
    (photos / "broken.jpg").write_text("text", encoding="utf-8")
    done = ucolnet("colorize", photos, "--out", tmp_path / "out", "--model", model_folder)
    assert done.returncode == 2 and "broken.jpg" in done.stderr and "1 coloured" in done.stdout
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["good.jpg"]


def test_without_a_model_the_one_that_ships_colours(tmp_path):
    Image.fromarray(np.tile(np.arange(30, 230, 5, dtype=np.uint8), (30, 1))).save(tmp_path / "gray.png")
    for vividness in (0, 1):
        out = tmp_path / str(vividness)
        done = ucolnet("colorize", tmp_path / "gray.png", "--out", out, "--vividness", vividness)
        assert done.returncode == 0, done.stderr
        coloured = np.asarray(Image.open(out / "gray.png")).astype(int)
        assert (np.ptp(coloured, axis=2).max() > 0) == (vividness > 0)


def test_vividness_out_of_its_range(tmp_path):
    done = ucolnet("colorize", tmp_path, "--out", tmp_path / "out", "--vividness", 4)
    assert_one_sentence(done, "The vividness is 4.0", "0 to 3")


def test_resume_of_a_finished_run_ends_with_zero(toy, tmp_path):
    command = [
        "train",
        "--recipe",
        "smoke",
        "--data",
        toy,
        "--out",
        tmp_path / "run",
        "--set",
        "epochs=1",
        "--set",
        "size=16",
    ]
    assert ucolnet(*command).returncode == 0
    assert_one_sentence(ucolnet(*command), "--resume")
    done = ucolnet(*command, "--resume")
    assert done.returncode == 0 and "nothing to do" in done.stdout


def test_the_command_line_opens_no_room_before_it_is_asked():
    code = "import ucolnet_lib.cli, sys; print({'torch', 'accelerate', 'ultralytics', 'matplotlib'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr


def test_evaluate_the_controls(toy, tmp_path):
    done = ucolnet("evaluate", "--data", toy, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "| gray_224 |" in done.stdout and (tmp_path / "out" / "results.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--detector", "nowhere.xml"], "nowhere.xml does not exist"),
        (["--images", "mine"], "NAME=FOLDER"),
        (["--images", "mine=nowhere"], "no folder nowhere"),
        (["--split", "test2017"], "test2017"),
        (["no-run"], "no-run is no run folder"),
    ],
)
def test_evaluate_with_bad_input(toy, tmp_path, arguments, words):
    assert_one_sentence(ucolnet("evaluate", *arguments, "--data", toy, "--out", tmp_path / "out"), words)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("images", [3, 9])
def test_fetch_coco(tmp_path, images):
    with serve(write_coco_site(tmp_path / "site", images=6)) as mirror:
        command = ["data", "coco", "out", "--split", "val2017", "--limit", images, "--mirror", mirror.address]
        done = ucolnet(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"val2017: {min(images, 6)} images lie in out, {min(images, 6)} of them fetched now." in done.stdout
    assert "image/s" in done.stderr and "B/s" in done.stderr
    assert len(CocoSplit(tmp_path / "out", "val2017")) == min(images, 6)


def test_fetch_coco_by_ids_and_categories(tmp_path):
    site = write_coco_site(tmp_path / "site", images=6)
    names = sorted(path.name for path in (site / "val2017").iterdir())
    (tmp_path / "ids.txt").write_text("\n".join(names[:4]))
    with serve(site) as mirror:
        choice = ["--ids", "ids.txt", "--categories", "hot dog, zebra", "--mirror", mirror.address]
        done = ucolnet("data", "coco", "out", "--split", "val2017", *choice, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "out" / "val2017").iterdir()) == [names[0], names[3]]


def test_fetch_coco_of_a_server_without_it(tmp_path):
    (tmp_path / "site").mkdir()
    with serve(tmp_path / "site") as mirror:
        command = ["data", "coco", "out", "--split", "val2017", "--limit", 3, "--mirror", mirror.address]
        done = ucolnet(*command, cwd=tmp_path)
    assert_one_sentence(done, f"{mirror.address}/annotations/annotations_trainval2017.zip does not exist (404)")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--split", "test2017"], "test2017"),
        (["--split", "val2017", "--ids", "no.txt"], "no.txt cannot be read"),
        (["--split", "val2017", "--mirror", "school"], "http://SERVER"),
    ],
)
def test_fetch_coco_with_bad_input(tmp_path, arguments, words):
    assert_one_sentence(ucolnet("data", "coco", "out", *arguments, cwd=tmp_path), words)
    assert list(tmp_path.iterdir()) == []


def test_look_at_data(toy, tmp_path):
    done = ucolnet("data", "show", toy, "--split", "val2017", "--limit", 2, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "world, val2017: 2 of 2 photographs, 0 of them gray" in done.stdout and str(tmp_path / "out") in done.stdout
    assert (tmp_path / "out" / "photographs.png").is_file() and (tmp_path / "out" / "classes.csv").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["nowhere"], "nowhere does not exist"), ([".", "--split", "val2017"], "no folder val2017"), (["."], "no photo")],
)
def test_look_at_data_that_is_not_there(tmp_path, arguments, words):
    assert_one_sentence(ucolnet("data", "show", *arguments, cwd=tmp_path), words)
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_ends_with_one_sentence(monkeypatch, capsys):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("ucolnet_lib.data.toy.draw_toy_world", interrupted)
    monkeypatch.setattr(sys, "argv", ["ucolnet", "data", "toy", "anywhere"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 130 and "interrupted. Call the same command again" in capsys.readouterr().err
