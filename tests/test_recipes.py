"""Every number of the paper; ranges and types; recipe.json."""

import dataclasses
import json
import math
from pathlib import Path

import pytest

from ucolnet_lib.common import UcolnetError
from ucolnet_lib.models import MODELS
from ucolnet_lib.recipes import _ADDED, PROFILES, RECIPES, Recipe, read_recipe, recipe_for

UCOLNETS = [name for name in MODELS if name.startswith("ucolnet")]
IIZUKAS = [name for name in MODELS if name.startswith("iizuka")]


@pytest.mark.parametrize("model", UCOLNETS)
def test_every_number_of_the_paper(model):
    """Section on training: SGD, momentum 0.9, learning rate from 0.1 times 0.9 every 5 epochs, 90/10, alpha."""
    recipe = recipe_for("paper", model)
    assert recipe.optimizer == "sgd" and recipe.momentum == 0.9
    assert recipe.learning_rate == 0.1 and recipe.schedule == "step"
    assert recipe.decay == 0.9 and recipe.decay_epochs == 5
    assert recipe.validation_share == 0.1 and recipe.limit == 0
    assert recipe.alpha == "balanced"
    # Weight decay 1e-5 for v1; v3 "the same without weight decay".
    assert recipe.weight_decay == (0 if model.startswith("ucolnet_v3") else 1e-5)


def test_what_the_paper_leaves_open_is_our_reading():
    recipe = recipe_for("paper", "ucolnet_v1")
    assert (recipe.size, recipe.global_size, recipe.width) == (224, 224, 1.0)
    assert (recipe.epochs, recipe.batch_size, recipe.patience) == (50, 64, 0)


@pytest.mark.parametrize("model", IIZUKAS)
def test_iizuka_is_trained_by_adadelta(model):
    recipe = recipe_for("paper", model)
    assert (recipe.optimizer, recipe.learning_rate, recipe.weight_decay) == ("adadelta", 1.0, 0)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", ["t4", "a100"])
def test_recipes_of_a_machine_change_nothing_of_the_papers_but_width_and_speed(name, model):
    paper, recipe = dataclasses.asdict(recipe_for("paper", model)), dataclasses.asdict(recipe_for(name, model))
    changed = {key: value for key, value in recipe.items() if value != paper[key]}
    hardware = {"t4": {"width": 0.5, "precision": "fp16"}, "a100": {"compile": True}}
    assert changed == {"name": name} | hardware[name]


@pytest.mark.parametrize("name", ["toy", "smoke"])
def test_small_recipes_are_the_same_for_every_model(name):
    """One common factor on the widths, the same epochs and data: else models could not be compared."""
    recipes = {recipe_for(name, model) for model in MODELS}
    assert len(recipes) == 1
    (recipe,) = recipes
    assert recipe.name == name and recipe.size < 224 and recipe.width < 1


def test_profiles_take_the_recipes_that_the_course_promises():
    taken = {profile: numbers.recipe for profile, numbers in PROFILES.items()}
    assert taken == {"smoke": "smoke", "toy": "toy", "full": "paper"}
    assert {profile: numbers.study_recipe for profile, numbers in PROFILES.items()} == taken | {"toy": "study"}
    assert set(RECIPES) == {"paper", "t4", "a100", "toy", "study", "sample", "demo", "smoke"}
    assert all(RECIPES[name].name == name for name in RECIPES)


def test_settings_are_read_as_the_type_of_their_field():
    settings = {"epochs": "3", "learning_rate": "1e-2", "channels_last": "False", "precision": "fp32", "momentum": "0"}
    recipe = recipe_for("toy", "ucolnet_v3", settings)
    assert (recipe.epochs, recipe.learning_rate, recipe.channels_last, recipe.precision) == (3, 0.01, False, "fp32")
    assert type(recipe.epochs) is int and type(recipe.momentum) is float
    unchanged = {f.name for f in dataclasses.fields(Recipe)} - set(settings)
    assert all(getattr(recipe, key) == getattr(RECIPES["toy"], key) for key in unchanged)


def test_settings_come_after_what_a_model_changes():
    assert recipe_for("paper", "ucolnet_v3", {"weight_decay": "1e-4"}).weight_decay == 1e-4
    assert recipe_for("paper", "iizuka", {"optimizer": "sgd"}).optimizer == "sgd"


@pytest.mark.parametrize(
    ("key", "text", "says"),
    [
        ("epoch", "3", "A recipe has no key 'epoch'. Known keys: size, width"),
        ("name", "mine", "A recipe has no key 'name'"),
        ("epochs", "three", "epochs takes a whole number, not 'three'"),
        ("epochs", "2.5", "epochs takes a whole number, not '2.5'"),
        ("epochs", "", "epochs takes a whole number, not ''"),
        ("learning_rate", "fast", "learning_rate takes a number, not 'fast'"),
        ("channels_last", "yes", "channels_last takes true or false, not 'yes'"),
        ("optimizer", "adam", "optimizer is 'adam'. Choose one of: sgd, adamw, adadelta"),
        ("schedule", "linear", "schedule is 'linear'. Choose one of: step, cosine"),
        ("alpha", "magic", "alpha is 'magic'. Choose one of: balanced, fixed"),
        ("precision", "fp8", "precision is 'fp8'. Choose one of: fp32, bf16, fp16"),
        ("epochs", "0", "epochs is 0. It must lie between 1 and"),
        ("size", "-48", "size is -48. It must lie between 8 and"),
        ("batch_size", "0", "batch_size is 0"),
        ("learning_rate", "0", "learning_rate is 0.0"),
        ("learning_rate", "nan", "learning_rate is nan"),
        ("learning_rate", "inf", "learning_rate is inf"),
        ("weight_decay", "-1e-5", "weight_decay is -1e-05"),
        ("momentum", "1", "momentum is 1.0"),
        ("crop_area", "1.1", "crop_area is 1.1"),
        ("validation_share", "0", "validation_share is 0.0"),
        ("decay", "0", "decay is 0.0"),
        ("width", "0", "width is 0.0"),
        ("seed", "-1", "seed is -1"),
        ("alpha_value", "-1", "alpha_value is -1.0"),
    ],
)
def test_bad_settings_are_told_in_one_sentence(key, text, says):
    with pytest.raises(UcolnetError) as error:
        recipe_for("toy", "ucolnet_v3", {key: text})
    assert says in str(error.value) and "\n" not in str(error.value)


def test_every_number_has_a_range():
    """Nothing that a person can set is taken unseen."""
    for field in dataclasses.fields(Recipe):
        if field.type in ("int", "float"):
            with pytest.raises(UcolnetError, match=field.name):
                RECIPES["toy"].replace(**{field.name: -1 if field.type == "int" else -1.0})


@pytest.mark.parametrize(
    ("key", "value"), [("epochs", 2.0), ("epochs", "3"), ("epochs", True), ("channels_last", 1), ("name", 3)]
)
def test_values_of_the_wrong_type_are_refused(key, value):
    with pytest.raises(UcolnetError, match=f"The recipe's {key} is {value!r}. It must be"):
        RECIPES["toy"].replace(**{key: value})


def test_a_whole_number_serves_as_a_number():
    assert RECIPES["toy"].replace(learning_rate=1).learning_rate == 1


def test_unknown_recipe():
    with pytest.raises(UcolnetError, match="no recipe 'papre'. Choose one of: paper, t4, a100, toy, study"):
        recipe_for("papre", "ucolnet_v3")


def test_a_recipe_cannot_be_changed_in_place():
    with pytest.raises(dataclasses.FrozenInstanceError):
        RECIPES["toy"].epochs = 3
    assert RECIPES["toy"].replace(epochs=3).epochs == 3 and RECIPES["toy"].epochs != 3


# recipe.json.


def write(folder, content) -> None:
    (folder / "recipe.json").write_text(content if isinstance(content, str) else json.dumps(content))


def whole() -> dict:
    return {"model": "ucolnet_v3", "recipe": RECIPES["toy"].to_dict(), "data": "somewhere/coco"}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))
def test_recipe_json_there_and_back(tmp_path, recipe):
    write(tmp_path, whole() | {"recipe": recipe.to_dict()})
    assert read_recipe(tmp_path) == ("ucolnet_v3", recipe, "somewhere/coco")


@pytest.mark.parametrize(
    "content",
    [
        "",
        json.dumps(whole())[:100],
        "<html>",
        [1],
        {key: value for key, value in whole().items() if key != "model"},
        {key: value for key, value in whole().items() if key != "data"},
        whole() | {"recipe": 5},
        whole() | {"recipe": whole()["recipe"] | {"epochs": "24"}},
        whole() | {"recipe": whole()["recipe"] | {"epochs": -1}},
        whole() | {"recipe": whole()["recipe"] | {"learning_rate": math.nan}},
        whole() | {"recipe": whole()["recipe"] | {"unheard_of": 1}},
        whole() | {"recipe": {"name": "toy"}},
    ],
)
def test_broken_recipe_files(tmp_path, content):
    write(tmp_path, content)
    with pytest.raises(UcolnetError, match=r"recipe.json is broken \(.*\)\. Train the model again\."):
        read_recipe(tmp_path)


@pytest.mark.parametrize("folder", ["", "nowhere", "file"])
def test_a_folder_that_is_no_run(tmp_path, folder):
    (tmp_path / "file").touch()
    with pytest.raises(UcolnetError, match="is no run folder: it has no recipe.json"):
        read_recipe(tmp_path / folder)


# Fields that came later.

STUDY = Path(__file__).parents[1] / "results" / "study-models"


def test_fields_that_came_later_stand_in_the_dictionary_only_when_they_are_used():
    """So old runs, notes of steps and committed studies are still made from equal inputs."""
    recipe = RECIPES["toy"]
    every = {field.name for field in dataclasses.fields(Recipe)}
    assert set(recipe.to_dict()) == every - set(_ADDED)
    used = recipe.replace(leave_out_gray=True, data_on_device=True)
    assert set(used.to_dict()) - set(recipe.to_dict()) == {"leave_out_gray", "data_on_device"}
    assert used.to_dict()["leave_out_gray"] is True
    for changed in (recipe, recipe.replace(leave_out_gray=True), recipe.replace(data_on_device=True)):
        assert Recipe(**json.loads(json.dumps(changed.to_dict()))) == changed


def test_what_was_committed_is_made_from_the_recipes_of_today():
    files = sorted((STUDY / "rows").glob("*-*.json"))
    assert len(files) >= 21
    for file in files:
        inputs = json.loads(file.read_text(encoding="utf-8"))["inputs"]
        recipe = recipe_for("study", inputs["model"]).replace(seed=inputs["recipe"]["seed"])
        assert inputs["recipe"] == recipe.to_dict()
    for folder in (STUDY / "models").iterdir():
        description = read_recipe(folder)
        assert description.recipe == recipe_for("study", description.model)
