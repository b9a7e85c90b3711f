"""The commands of RESULTS.md, READMEs and docs/: scripts are there, options parse, data is named.

Nothing is run. `$DATA/...` is a path of RESULTS.md's table of data sets (and is looked for where
MIXER_TEST_DATA names a folder); what a preset's docstring says to set ("needs --data.root", "set
--data.csv") is set by every command that names the preset.
"""

import dataclasses
import importlib
import os
import re
import shlex
from pathlib import Path

import pytest

pytest.importorskip("mmpose")

from core.app import commands as app_commands
from core.config import cli
from core.data.images.labelled import ImagesConfig
from core.pretraining.config import TransferConfig

ROOT = Path(__file__).resolve().parents[1]
PAGES = ["RESULTS.md", "README.md", "core/README.md"]
PAGES += sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("apps/*/README.md"))
PAGES += sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/**/*.md"))
# pages that command nothing of ours, or an app that tests/test_fifth_app.py makes
SILENT = {"docs/words.md", "docs/design.md", "docs/results.md", "docs/contributing.md"}
SILENT |= {"docs/changes.md", "docs/fifth_app/README.md", "docs/tutorials/your_project.md"}
SILENT |= {page for page in PAGES if page.startswith("docs/api/")}
BEFORE = r"(?:export \w+=\S+ )?(?:\w+=\S+ )*(?:taskset -c 0 )?"
LAUNCHERS = r"(?:python|pytest|accelerate launch|torchrun)"
COMMAND = re.compile(BEFORE + LAUNCHERS + r" (?P<rest>(?:-m )?\S.*)")
NEEDS = re.compile(r"(?:[Nn]eeds|[Ss]et) (--[a-z.-]+(?: and --[a-z.-]+)*)")
LONG = {"RESULTS.md", "README.md", "docs/core.md"}
LONG |= {f"docs/{path.parent.name}.md" for path in ROOT.glob("apps/*/train.py")}
UNREAD = ("|", "--help", "--help-all", "...")
SPLITS = {"$DATA/cifar10": {"train", "test_a"}}
OF_IMAGES = ("classification", "fewshot", "shuffle", "grids")  # evaluations that need some


def commands_of(text):
    """The words of every command of a page, in fences or between backticks."""
    fences = re.findall(r"```bash\n(.*?)```", text, re.S)
    lines = [line for fence in fences for line in fence.replace("\\\n", " ").splitlines()]
    prose = re.sub(r"```.*?```", "", text, flags=re.S)
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose)]
    found = [COMMAND.fullmatch(line.strip()) for line in [*lines, *spans]]
    return [words for match in found if match and (words := words_of(match["rest"]))]


def words_of(command):
    """The script, or what follows -m, and its words; optional ones, in brackets, among them."""
    command = re.sub(r"[\[\]]", "", command.replace("-[012]", "").replace("$SEED", "0"))
    words = [word for word in shlex.split(command, comments=True) if word not in UNREAD]
    if words[0] == "-m":
        return words[1:]
    # the launcher's own options, which come first
    while words and words[0].startswith("-"):
        words = words[1 if words[0] in ("--quiet", "--multi_gpu") else 2 :]
    return words


def source_of(script):
    """The file of a script of ours or of a module, None for other people's (timeit)."""
    if script.endswith(".py"):
        return ROOT / script
    path = ROOT / script.replace(".", "/")
    if path.parts[len(ROOT.parts)] not in ("core", "apps"):
        return None
    return path / "__main__.py" if path.is_dir() else path.with_suffix(".py")


def parse(path, words):
    """The configuration that a command makes, None where argparse or `embedded_commands` reads it.

    SystemExit or InputError for an option that is none.
    """
    script = str(path.relative_to(ROOT))
    if script == "core/eval.py":
        room = "profiling" if words[:1] in (["throughput"], ["memory"]) else "evaluation"
        if not words or words[0].isupper():  # a word to be replaced
            return None
        return cli({words[0]: module(f"core/{room}/{words[0]}").Config}, words)
    if re.fullmatch(r"apps/\w+/eval.py", script):
        app = module(script)
        (kind,) = {value for name, value in vars(app).items() if is_run_config(name, value)}
        options = getattr(app, "Options", app_commands.NoOptions)()
        return app_commands._parse("", kind(), options, words[1:]).config
    if script == "benchmarks/recipe.py":
        module(script).parse(words)
        return None
    source = path.read_text()
    if "PRESETS" in source:
        presets = module(script).PRESETS
        named = presets[words[0]] if words and words[0] in presets else next(iter(presets.values()))
        needed = NEEDS.findall(" ".join((named.__doc__ or "").split()))
        missing = set(re.findall(r"--[a-z.-]*[a-z]", " ".join(needed))) - set(words)
        assert not missing, f"{words}: {named.__name__} needs {missing}"
        return cli(presets, words)
    if path.name == "predict.py":
        source += (ROOT / "core/app/predicting.py").read_text()
    if path.name == "keep.py":
        source += (ROOT / "core/models/weights/writing.py").read_text()
    for word in words:
        if match := re.match(r"--([a-z0-9-]+)", word):
            field = match[1].replace("-", "_")
            assert f'"--{match[1]}"' in source or re.search(rf"^    {field}: ", source, re.M), words
    return None


def module(script):
    return importlib.import_module(script.removesuffix(".py").replace("/", "."))


def is_run_config(name, value):
    if not (name.endswith("Config") and dataclasses.is_dataclass(value)):
        return False
    return {"data", "run"} <= {field.name for field in dataclasses.fields(value)}


def sets_of(config):
    """(root, split) of all the images that a configuration names."""
    if isinstance(config, ImagesConfig):
        yield config.root, config.split
    elif isinstance(config, TransferConfig):
        yield from ((config.root, split) for split in (config.train_split, config.test_split))
    elif dataclasses.is_dataclass(config):
        for field in dataclasses.fields(config):
            yield from sets_of(getattr(config, field.name))


def check(words):
    """AssertionError, InputError or SystemExit for a command that could not run."""
    script, *words = words
    if script.startswith("apps/upright/"):  # docs/fifth_app: its own test runs them
        return
    if script.startswith("tests/"):
        assert (ROOT / script).is_file(), script
        return
    path = source_of(script)
    if path is None:
        return
    assert path.is_file(), script
    config = parse(path, words)
    sets = list(sets_of(config))
    for root, split in sets:
        assert split in SPLITS.get(root, {split}), f"{script} {words}: no {split} in {root}"
    if script == "core/eval.py" and len(words) > 1 and words[0] in OF_IMAGES:
        assert all(root for root, _ in sets), f"{script} {words}: its images are not named"


@pytest.mark.parametrize("page", PAGES)
def test_commands_parse(page):
    commands = commands_of((ROOT / page).read_text())
    assert page in SILENT or len(commands) > (4 if page in LONG else 0)
    for words in commands:
        try:
            check(words)
        except SystemExit as error:
            pytest.fail(f"{page}: {words}: {error}")


def test_data_of_results_is_in_its_table():
    text = (ROOT / "RESULTS.md").read_text()
    table = text.partition("| `$DATA/` |")[2].partition("\n\n")[0]
    paths = {word.rstrip("/.,") for word in re.findall(r"\$DATA/([\w./-]+)", text)}
    assert len(paths) > 9
    for path in paths:
        top = path.split("/")[0]
        assert re.search(rf"`{re.escape(top)}\b", table), f"{path} is not in the table of data"
        if folder := os.environ.get("MIXER_TEST_DATA"):
            assert Path(folder, path).exists()


@pytest.mark.parametrize(
    "command",
    [
        "python core/eval.py grids --model.weights RUN --sizes 24",
        "python core/pretrain.py cifar10_fractals --transfer.root $DATA/cifar10",
        "accelerate launch apps/style/compare.py wikiart7 --models mixer_c128_l4_p8",
        "OMP_NUM_THREADS=1 python apps/pose/compare.py lsp --base.data.root $DATA/lspet",
        "python apps/pose/evaluate.py RUN",
        "python benchmarks/pose_data.py --folder x",
    ],
)
def test_commands_that_could_not_run_are_noticed(command):
    (words,) = commands_of(f"| what | `{command}` |")
    with pytest.raises(AssertionError):
        check(words)
