"""README.md and docs/ are true: inputs are `Request`'s, examples parse, what is named exists, refusals happen."""

import ast
import json
import re
import shlex
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import MISSING, fields, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

import sam2_cog
from sam2_cog import pipeline, session
from sam2_cog.__main__ import _parser, main
from sam2_cog.engine import model
from sam2_cog.engine.checkpoints import CHECKPOINTS, verify_checkpoint
from sam2_cog.engine.model import LoadedModel
from sam2_cog.errors import CheckpointError, InvalidRequest, UnreadableVideo
from sam2_cog.fleet.manifest import read_manifest
from sam2_cog.masks import FrameMasks, ObjectMask
from sam2_cog.media.video import probe
from sam2_cog.outputs.destination import check_output
from sam2_cog.prompts import ObjectPrompts
from sam2_cog.request import Request, option
from sam2_cog.runs.objects import objects_within
from tests.clips import numbered_frames, write_clip

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "sam2_cog"
GUIDES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
README = "\n\n".join(page.read_text(encoding="utf-8") for page in GUIDES)
FOLDERS = ("samples", "weights", "benchmarks")
PAGES = [*GUIDES, ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md", *(ROOT / name / "README.md" for name in FOLDERS)]
SAMPLE = (640, 360, 120)
OWN_CLIP = (1280, 720, 21)  # what README.md says of `clip.mp4`
INPUTS = {item.name: item for item in fields(Request)}


# What is on the page.


def blocks(*languages: str) -> list[str]:
    """The code blocks in any of these languages."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README, flags=re.MULTILINE | re.DOTALL)
    return [text for language, text in found if language in languages]


def commands() -> Iterator[list[str]]:
    """Each line of the shell blocks as its words; here documents are left out."""
    for block in blocks("bash"):
        block = re.sub(r"<<(\w+)\n.*?\n\1\n", "\n", block, flags=re.DOTALL)
        for line in block.replace("\\\n", " ").splitlines():
            yield shlex.split(line)


def own_commands() -> list[list[str]]:
    """The arguments of each call of this project's command line."""
    alone = [words[: words.index("|")] if "|" in words else words for words in commands()]
    calls = [words[3:] for words in alone if words[:3] == ["python", "-m", "sam2_cog"]]
    return calls + [words[1:] for words in alone if words[0] == "sam2-cog"]


def segment_commands() -> list[list[str]]:
    return [call for call in own_commands() if call[0] == "segment"]


def cog_commands() -> list[list[str]]:
    return [words[2:] for words in commands() if words[:2] == ["cog", "predict"]]


def bodies() -> list[dict[str, Any]]:
    """The JSON bodies of HTTP requests."""
    decoder = json.JSONDecoder()
    return [
        decoder.raw_decode(block, match.start())[0]
        for block in blocks("bash")
        for match in re.finditer(r'\{"input"', block)
    ]


def table(heading: str) -> list[list[str]]:
    """The rows of the table whose heading row begins with these cells, without that row."""
    lines = README.splitlines()
    (start,) = [number for number, line in enumerate(lines) if line.startswith(heading)]
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def objects_of(request: Request) -> tuple[ObjectPrompts, ...]:
    """The request's objects, read against the clip that it names."""
    if str(request.video).startswith("samples/"):
        assert (ROOT / request.video).is_file()
    width, height, frame_count = OWN_CLIP if request.video.name == "clip.mp4" else SAMPLE
    files = {name: ROOT / path for name in ("masks", "boxes") if (path := getattr(request, name))}
    first_shot = request.click_frames.removeprefix("0:")
    here = replace(request, click_frames=first_shot, **files)
    return objects_within(here, width, height, frame_count, used=request.frames_of(frame_count))


# The inputs.


def test_every_input_has_a_row_in_the_order_of_the_request() -> None:
    assert [row[0] for row in table("| input | default |")] == [f"`{name}`" for name in INPUTS]


@pytest.mark.parametrize("row", table("| input | default |"), ids=lambda row: row[0])
def test_a_row_has_the_true_default_choices_and_bounds(row: list[str]) -> None:
    name, default, _, allowed = row[0].strip("`"), *row[1:]
    true_default, limits = INPUTS[name].default, option(name)
    assert default == shown(true_default)
    if limits.choices:
        assert sorted(re.findall(r"`(.*?)`", allowed)) == sorted(limits.choices)
    if limits.high is not None:
        assert re.match(rf"{limits.low:g} .*?\bto {limits.high:g}\b", allowed)
    elif limits.low is not None:
        assert allowed == f"from {limits.low:g}"


def shown(default: Any) -> str:
    """How the page writes a default."""
    if default is MISSING or default in ("", None):
        return {"": "empty", None: "none"}.get(default, "required")
    if isinstance(default, bool):
        return "`true`" if default else "`false`"
    return f"`{default}`" if isinstance(default, str) else f"`{default:g}`"


def test_every_model_is_listed_with_its_size() -> None:
    rows = {row[0].strip("`"): row[1] for row in table("| model | checkpoint |")}
    sizes = {
        name: f"{entry.published.size / 1e6:.0f} MB" if entry.published else "in this repository"
        for name, entry in CHECKPOINTS.items()
    }
    assert rows == sizes


def test_the_official_checkpoints_are_described_as_they_are_fetched() -> None:
    text = (ROOT / "weights/README.md").read_text(encoding="utf-8")
    for name, entry in CHECKPOINTS.items():
        if entry.published:
            size, digest = f"{entry.published.size:,}", entry.published.sha256
            assert f"| `{name}` | `{entry.file}` | {size} | `{digest}` |" in text


def test_the_demo_checkpoint_is_described_as_it_is() -> None:
    content = (ROOT / "weights/demo.pt").read_bytes()
    text = (ROOT / "weights/README.md").read_text(encoding="utf-8")
    assert f"| {len(content):,} | `{sha256(content).hexdigest()}` |" in text


def test_every_input_of_ours_is_in_the_table_for_newcomers_from_replicate() -> None:
    ours = [row[1].strip("`") for row in table("| there | here |")]
    assert set(ours) == set(INPUTS)


# The examples.


@pytest.mark.parametrize("call", own_commands(), ids=" ".join)
def test_a_command_parses(call: list[str]) -> None:
    assert _parser().parse_args(call).run is not None


@pytest.mark.parametrize("call", segment_commands(), ids=" ".join)
def test_a_segment_command_is_a_request_that_fits_its_clip(call: list[str]) -> None:
    arguments = _parser().parse_args(call)
    request = Request(**{name: getattr(arguments, name) for name in INPUTS})
    check_output(request, Path(Path(arguments.output).name), arguments.further)
    assert objects_of(request)


@pytest.mark.parametrize("words", cog_commands(), ids=" ".join)
def test_a_cog_command_is_a_request_that_fits_its_clip(words: list[str]) -> None:
    pairs = list(zip(words[::2], words[1::2], strict=True))
    given: dict[str, Any] = dict(value.split("=", 1) for flag, value in pairs if flag == "-i")
    environment = dict(value.split("=", 1) for flag, value in pairs if flag == "-e")
    assert {flag for flag, _ in pairs} <= {"-i", "-e", "-o"}
    assert environment.get("SAM2_MODEL", "large") in CHECKPOINTS
    assert given["video"].startswith("@")
    assert objects_of(Request(**given | {"video": given["video"].removeprefix("@")}))


@pytest.mark.parametrize("body", bodies(), ids=str)
def test_a_body_is_a_request_that_fits_its_clip(body: dict[str, Any]) -> None:
    assert set(body) == {"input"}
    assert objects_of(Request(**body["input"]))


def test_the_python_example_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, small_model: LoadedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the sample itself; with a quicker network, and into another folder."""
    (code,) = [block for block in blocks("python") if "session.write" in block]
    asked: list[str] = []

    def load(name: str) -> LoadedModel:
        asked.append(name)
        return small_model

    monkeypatch.setattr(session, "load_model", load)
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    monkeypatch.chdir(tmp_path)
    known: dict[str, Any] = {}
    exec(compile(ast.parse(code), "README.md", "exec"), known)
    assert asked[0] in CHECKPOINTS
    width, height, frame_count = SAMPLE
    assert probe(tmp_path / "birds.mp4").frame_count == frame_count
    lines = [int(line.split()[0]) for line in capsys.readouterr().out.splitlines()]
    assert lines == [*range(frame_count), *range(60, frame_count)], "as the comments say"
    assert known["picture"].shape == (height, width, 3) and known["red"].shape == known["blue"].shape == (height, width)


def test_the_recipe_for_supervision_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, small_model: LoadedModel
) -> None:
    """On a shorter clip of the same name."""
    (code,) = [block for block in blocks("python") if "supervision" in block]
    (tmp_path / "samples").mkdir()
    write_clip(tmp_path / "samples/two_birds.mp4", numbered_frames(3, 640, 360))
    monkeypatch.setattr(session, "load_model", lambda name: small_model)
    monkeypatch.chdir(tmp_path)
    exec(compile(ast.parse(code), "outputs.md", "exec"), {})
    assert probe(tmp_path / "annotated.mp4").frame_count == 3


def test_the_recipe_for_a_photo_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (call,) = [call for call in own_commands() if "samples/two_birds_photo.jpg" in call]
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    monkeypatch.chdir(tmp_path)
    assert main(call) == 0
    with Image.open("birds.png") as picture:
        alpha = np.asarray(picture)[..., 3]
    assert alpha[222, 80] == alpha[96, 556] == 255 and alpha[10, 10] == 0


def test_the_recipe_for_several_paths_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small_model: LoadedModel
) -> None:
    """On two short clips of the sample's size."""
    (call,) = [call for call in segment_commands() if "evening.mp4" in call]
    monkeypatch.setattr(model, "load_model", lambda name: small_model)
    monkeypatch.chdir(tmp_path)
    for name, count in (("morning.mp4", 3), ("evening.mp4", 2)):
        write_clip(tmp_path / name, numbered_frames(count, 640, 360))
    assert main(call) == 0
    with zipfile.ZipFile("day.zip") as result:
        assert result.namelist() == ["morning.mp4", "evening.mp4"]


def test_the_reader_of_lines_reads_what_its_command_writes(tmp_path: Path, small_model: LoadedModel) -> None:
    """On a shorter clip of the same size."""
    (code,) = [block for block in blocks("python") if "sys.stdin" in block]
    (call,) = [call for call in segment_commands() if "jsonl" in call]
    arguments = _parser().parse_args(call)
    clip = write_clip(tmp_path / "two_birds.mp4", numbered_frames(3, 640, 360))
    request = Request(**{name: getattr(arguments, name) for name in INPUTS} | {"video": clip})
    result = pipeline.segment_video(request, small_model, tmp_path / "lines.jsonl")
    with result.path.open() as lines:
        told = subprocess.run([sys.executable, "-c", code], stdin=lines, capture_output=True, text=True, check=True)
    first, *others = told.stdout.splitlines()
    assert first == "['red', 'blue']" and all(line.split()[2:5] == ["begins", "in", "column"] for line in others)


def test_the_recipe_for_candidates_runs(
    monkeypatch: pytest.MonkeyPatch, small_model: LoadedModel, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = [block for block in blocks("python") if "session.candidates" in block]
    monkeypatch.setattr(session, "load_model", lambda name: small_model)
    monkeypatch.chdir(ROOT)
    known: dict[str, Any] = {}
    exec(compile(ast.parse(code), "README.md", "exec"), known)
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["1", "2", "3"]
    assert known["chosen"][0].prompts[0].candidate == 2


def test_the_names_that_are_kept_are_there() -> None:
    kept = " ".join(row[0] for row in table("| name | what it is |"))
    assert {*re.findall(r"`(\w+)[`(]", kept)} == {*sam2_cog.__all__, "FrameMasks", "ObjectMask"} - {"Request"}
    methods = {name for name in vars(session.Session) if not name.startswith("_")}
    assert {*re.findall(r"`Session\.(\w+)", kept)} == methods | {"info", "footage"}
    for row, owner in (("FrameMasks", FrameMasks), ("ObjectMask", ObjectMask)):
        (names,) = [text for name, text in table("| name | what it is |") if name == f"`{row}`"]
        owned = {*dir(owner), *owner.__dataclass_fields__}
        assert {name.removesuffix("()") for name in re.findall(r"`(.*?)`", names)} <= owned


def test_there_are_examples_of_every_kind() -> None:
    assert len(segment_commands()) >= 9
    assert {call[0] for call in own_commands()} >= {"segment", "weights", "evaluate", "batch", "estimate"}
    assert {call[0] for call in own_commands()} >= {"label-studio", "x-anylabeling"}
    assert cog_commands() and len(bodies()) >= 2


def test_the_sample_request_is_that_of_the_first_command() -> None:
    sample = json.loads((ROOT / "samples/two_birds.json").read_text())
    arguments = _parser().parse_args(segment_commands()[0])
    first = Request(**{name: getattr(arguments, name) for name in INPUTS})
    assert objects_of(Request(video=first.video, **sample)) == objects_of(first)


def test_the_manifest_of_the_samples_can_be_carried_out() -> None:
    jobs = read_manifest(ROOT / "samples/two_birds.csv")
    assert [len(objects_of(replace(job.request, video=Path("samples") / job.request.video))) for job in jobs] == [1, 2]


def test_the_samples_size_is_as_assumed_here() -> None:
    info = probe(ROOT / "samples/two_birds.mp4")
    assert (info.width, info.height, info.frame_count) == SAMPLE


def test_the_size_of_the_own_clip_is_stated() -> None:
    width, height, frame_count = OWN_CLIP
    assert f"`clip.mp4` is {width}x{height} with at least {frame_count} frames" in README


def test_the_five_clicks_are_a_dog_and_a_cat() -> None:
    (call,) = [call for call in segment_commands() if "clip.mp4" in call]
    arguments = _parser().parse_args(call)
    dog, cat = objects_of(Request(**{name: getattr(arguments, name) for name in INPUTS}))
    assert (dog.name, cat.name) == ("dog", "cat")
    assert [correction.frame_index for one in (dog, cat) for correction in one.corrections] == [10, 10]


# The refusals.

REFUSED: list[dict[str, str]] = [
    {"click_coordinates": "[80,222],[900,80]"},
    {"click_coordinates": "[0.5,0.25]"},
    {"click_coordinates": "[100 50,300 200]"},
    {"click_coordinates": "[80,222]", "click_frames": "200"},
    {"click_coordinates": "[80,222]", "click_labels": "0"},
    {"click_coordinates": "[80,222,90,230]", "click_labels": "0"},
    {"click_coordinates": "[0,0,9,9],[1,1,5,5]", "click_object_ids": "red,red"},
    {"click_coordinates": "[80,222],[90,230]", "click_object_ids": "object_2"},
]


def refusals() -> list[str]:
    """What the page says that a refusal says, without the back quotes."""
    return [row[0].strip("`") for row in table("| it says | what to do |")]


@pytest.mark.parametrize("strings", REFUSED, ids=str)
def test_a_refused_request_is_told_in_the_words_of_the_page(strings: dict[str, str]) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        objects_of(Request(Path("samples/two_birds.mp4"), **cast(Any, strings)))
    assert str(refusal.value) in refusals()


def test_an_unreadable_video_is_told_in_the_words_of_the_page(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    with pytest.raises(UnreadableVideo) as missing:
        probe(clip)
    assert str(missing.value) in refusals()
    clip.write_text("no video")
    with pytest.raises(UnreadableVideo) as broken:
        probe(clip)
    assert any(str(broken.value).startswith(words) for words in refusals())


def test_a_wrong_suffix_is_told_in_the_words_of_the_page() -> None:
    with pytest.raises(InvalidRequest) as refusal:
        check_output(Request(Path("clip.mp4"), "[1,1]", output_format="png"), Path("masks.mp4"))
    assert str(refusal.value) in refusals()


def test_a_bad_checkpoint_is_told_in_the_words_of_the_page(tmp_path: Path) -> None:
    (tmp_path / "sam2.1_hiera_tiny.pt").write_bytes(b"half")
    with pytest.raises(CheckpointError) as refusal:
        verify_checkpoint("tiny", tmp_path)
    assert any(fits(words, str(refusal.value)) for words in refusals())


def fits(words: str, message: str) -> bool:
    """Whether the message has these words in it, where ... stands for anything."""
    return re.search(".*".join(map(re.escape, words.split("..."))), message) is not None


# What the pages name.


def links() -> list[tuple[Path, str]]:
    texts = [(page, page.read_text(encoding="utf-8")) for page in PAGES if page.exists()]
    found = [(page, target) for page, text in texts for target in re.findall(r"\]\(([^)\s]+)\)", text)]
    return [(page, target) for page, target in found if not target.startswith(("http://", "https://"))]


@pytest.mark.parametrize(("page", "target"), links(), ids=lambda item: getattr(item, "name", item))
def test_a_link_leads_somewhere(page: Path, target: str) -> None:
    path, _, anchor = unquote(target).partition("#")
    file = (page.parent / path) if path else page
    assert file.exists()
    if anchor:
        headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
        assert anchor in [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


def named_files() -> list[str]:
    """What stands in back quotes and looks like a file or a folder of this project."""
    spans = set(re.findall(r"`([\w./-]+)`", README))
    suffixes = (".py", ".yaml", ".toml", "/")
    archive = ("masks/", "frames/", "images/", "JPEGImages/")  # what is in an archive, not here
    return sorted(span for span in spans if span.endswith(suffixes) and not span.startswith(archive))


@pytest.mark.parametrize("name", named_files())
def test_a_named_file_exists(name: str) -> None:
    assert any((folder / name).exists() for folder in (ROOT, PACKAGE, PACKAGE / "outputs"))


def test_every_file_of_the_product_has_a_row_or_lies_in_a_folder_with_one() -> None:
    rows = " ".join(line for line in (ROOT / "docs/files.md").read_text().splitlines() if line.startswith("| `"))
    files = [path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"]
    assert [
        str(file)
        for file in files
        if f"`{file}`" not in rows and f"`{file.parts[0]}/`" not in rows and f"`{file.name}`" not in rows
    ] == []


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\bmake ([a-z-]+)(?=`|\n)", README))))
def test_a_make_target_exists(target: str) -> None:
    assert re.search(rf"^{re.escape(target)}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
