"""Recipes: what is accepted, what is refused and in which words."""

import tracemalloc
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import pytest
from posedata.ranges import Range
from posetrain.recipe import differences, load_recipe, tell_caches, to_yaml


@dataclass(frozen=True)
class Train:
    steps: Annotated[int, Range(at_least=1)] = 10
    lr: Annotated[float, Range(above=0)] = 1e-3
    clip: float | None = 1.0
    betas: tuple[float, float] = (0.9, 0.999)
    precision: Literal["no", "bf16"] = "no"


@dataclass(frozen=True)
class Recipe:
    data: Path
    name: str = "demo"
    image: bool = True
    modalities: tuple[str, ...] = ("2d", "3d")
    weights: dict[str, float] = field(default_factory=dict)
    train: Train = Train()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "small.yaml").write_text("data: store\ntrain: {steps: 7, lr: 1e-4}\nweights: {pair: 1}\n")
    return tmp_path


def test_a_recipe_by_name_with_overrides(folder: Path) -> None:
    overrides = [
        "train.steps=100",
        "train.clip=null",
        "modalities=[image, 2d]",
        "name=007",
        "train.betas=[0, 1]",
    ]
    recipe = load_recipe("small", Recipe, [*overrides, "weights.triplet=2e-1", "image=false"], folder)
    assert recipe == Recipe(
        data=Path("store"),
        name="007",
        image=False,
        modalities=("image", "2d"),
        weights={"pair": 1.0, "triplet": 0.2},
        train=Train(steps=100, lr=1e-4, clip=None, betas=(0.0, 1.0)),
    )


@pytest.mark.parametrize(
    "overrides",
    [
        ("train={steps: 100, lr: 1e-5}", "train.clip=2"),
        ("train.clip=2", "train={steps: 100, lr: 1e-5}"),
        ("train={steps: 5, clip: 2}", "train.lr=1e-5", "train={steps: 100}"),
    ],
)
def test_a_section_and_its_keys_in_any_order(folder: Path, overrides: tuple[str, ...]) -> None:
    recipe = load_recipe("small", Recipe, [*overrides, "weights={triplet: 2}"], folder)
    assert recipe.train == Train(steps=100, lr=1e-5, clip=2.0)
    assert recipe.weights == {"pair": 1.0, "triplet": 2.0}


def test_a_choice_called_no_is_not_false(folder: Path) -> None:
    (folder / "plain.yaml").write_text("data: store\ntrain: {precision: no}\n")
    assert load_recipe("plain", Recipe, [], folder).train.precision == "no"
    assert load_recipe("small", Recipe, ["train.precision=no"], folder).train.precision == "no"


def test_the_stored_recipe_reads_back_equal(folder: Path) -> None:
    recipe = load_recipe("small", Recipe, ["train.precision=bf16", "name=1e3"], folder)
    (folder / "stored.yaml").write_text(to_yaml(recipe))
    again = load_recipe(folder / "stored.yaml", Recipe)
    assert again == recipe
    assert differences(recipe, again) == []
    other = load_recipe("small", Recipe, ["train.precision=bf16", "name=1e3", "train.steps=8"], folder)
    assert differences(recipe, other) == ["train.steps: 7 -> 8"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.step=5", "unknown key train.step; did you mean train.steps?"),
        ("lr=5", "unknown key lr; did you mean train.lr?"),
        ("trian.steps=5", "unknown key trian; did you mean"),
        ("train.steps=0", "train.steps must be at least 1, not 0"),
        ("train.steps=1.5", "train.steps must be int, not 1.5"),
        ("train.steps=true", "train.steps must be int, not True"),
        ("train.lr=0", "train.lr must be above 0, not 0.0"),
        ("train.lr=fast", "train.lr must be float, not 'fast'"),
        ("train.precision=fp8", "train.precision must be one of no, bf16, not 'fp8'"),
        ("train.betas=[1]", "train.betas must hold 2 values, not 1"),
        ("image=1", "image must be bool, not 1"),
        ("train=5", "train must be Train, not 5"),
        ("train=null", "train must be Train, not None"),
        ("train={step: 5}", "unknown key train.step; did you mean train.steps?"),
        ("train={lr: 0}", "train.lr must be above 0, not 0"),
        ("train={steps: 1", "train is no YAML: '{steps: 1'; close its brackets"),
        ("train.steps", "write it as key=value"),
    ],
)
def test_a_wrong_override_is_named(folder: Path, override: str, message: str) -> None:
    with pytest.raises(ValueError, match="^--set " + override.replace("[", r"\[")) as caught:
        load_recipe("small", Recipe, [override], folder)
    assert message in str(caught.value)


@pytest.mark.parametrize("seed", [-1, 2**53 + 1, 2**70])
def test_a_seed_that_no_generator_takes_is_refused(seed: int) -> None:
    from vvipe.recipe import RECIPES
    from vvipe.recipe import Recipe as VvipeRecipe

    for key in ("loop.seed", "data.seed", "data.synthetic.seed"):
        with pytest.raises(ValueError, match=f"{key} must be at (least 0|most {2**53}), not {seed}"):
            load_recipe("quickstart", VvipeRecipe, [f"{key}={seed}"], RECIPES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\n", "data is missing"),
        ("data: a\ndata: b\n", "key data stands twice"),
        ("data: [a\n", "not valid YAML"),
        ("- data\n", "a recipe is a mapping"),
        ("data: a\ntrain: {steps: '12x'}\n", "train.steps must be int, not '12x'"),
        ("data: !!python/name:os.system\n", "not valid YAML"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"wrong\.yaml") as caught:
        load_recipe(path, Recipe)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_recipe_names_those_there_are(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no recipe is called smal; .* one of: small"):
        load_recipe("smal", Recipe, folder=folder)
    with pytest.raises(FileNotFoundError, match=r"none.yaml: no such recipe file"):
        load_recipe("none.yaml", Recipe, folder=folder)


LAUGHS = (
    "data:\n"
    + "  - &a [x,x,x,x,x,x,x,x,x,x]\n"
    + "".join(f"  - &{b} [{','.join(10 * [f'*{a}'])}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, "line 3, column 9: an alias (*) is not taken; write it out"),
        ("data: &a [*a]\n", "an alias (*) is not taken"),
        ("train: {<<: &a {steps: 1}, <<: *a}\n", "an alias"),
        ("data: " + 100_000 * "[" + "\n", "nested more than 32 deep"),
        ("data: " + 100_000 * "{a: " + "\n", "nested more than 32 deep"),
        ("data: " + 2_000_000 * "x" + "\n", "is larger than 1 MiB"),
        ("data: " + 5_000 * "9" + "\n", "put it in quotes"),
        ("data: 2024-13-45\n", "put it in quotes"),
        ("? [a, b]\n: c\n", "a key must be"),
        ("data: a\n" + 1_000 * "k" + ": 1\n", "unknown key kkk"),
        ("data: a\ntrain: {steps: [" + 5_000 * "1, " + "]}\n", "must be int, not [1, 1, 1, 1, 1, 1, ...]"),
    ],
)
def test_a_text_that_expands_is_refused_in_a_short_line_before_it_does(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "laughs.yaml"
    path.write_text(text)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"laughs\.yaml") as caught:
            load_recipe(path, Recipe)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert message in str(caught.value)
    assert len(str(caught.value)) < 600
    assert peak < 64 << 20


@pytest.mark.parametrize(
    "text", ["train.steps={a: &a [1], b: [*a, *a]}", "weights=" + 9_000 * "[", "name=" + 9 * "*"]
)
def test_a_value_of_the_command_line_is_read_within_the_same_limits(tmp_path: Path, text: str) -> None:
    (tmp_path / "plain.yaml").write_text("data: store\n")
    if text.startswith("name"):
        assert load_recipe("plain", Recipe, [text], tmp_path).name == 9 * "*", "text is taken as it is"
        return
    with pytest.raises(ValueError, match="--set") as caught:
        load_recipe("plain", Recipe, [text + " " * 9_000], tmp_path)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"data: \xe9\n", None])
def test_what_is_no_text_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "odd.yaml"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(
        (ValueError, FileNotFoundError), match=r"odd\.yaml: (is not text in UTF-8|no such recipe file)"
    ):
        load_recipe(path, Recipe)


@dataclass(frozen=True)
class Cached:
    cache: Path = Path("data")


@dataclass(frozen=True)
class WithCache:
    data: Cached = field(default_factory=Cached)


def test_a_recipe_that_writes_outside_the_folder_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for cache, told in (
        ("data", False),
        ("../elsewhere", True),
        (str(tmp_path / "x"), True),
        ("a/../b", False),
    ):
        Path("r.yaml").write_text(f"data: {{cache: {cache}}}\n")
        load_recipe("r.yaml", WithCache)
        assert (f"r.yaml: data.cache is {cache}, so" in capsys.readouterr().err) == told
    Path("r.yaml").write_text("data: {cache: ../elsewhere}\n")
    load_recipe("r.yaml", WithCache, [f"data.cache={tmp_path}"])
    assert not capsys.readouterr().err, "what the command line asks for is known"
    load_recipe("r.yaml", WithCache, tell=False)
    assert not capsys.readouterr().err, "what only reads a run writes into no cache"
    tell_caches(Path("r.yaml"))
    assert "r.yaml: data.cache is ../elsewhere, so" in capsys.readouterr().err
