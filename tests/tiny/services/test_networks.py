"""Tags of extra networks in a prompt: what they do to a model, and that it is undone to the bit."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from starlette.testclient import TestClient
from torch import Tensor

from tests.tiny.services.conftest import Studio
from tools.parity import network_folders
from webui.api.app import create_app
from webui.errors import InvalidRequest
from webui.flags import Flags
from webui.jobs.job import EventType
from webui.paths import make_paths
from webui.request import GenerationRequest, Hires, Refiner, Seed
from webui.services import OWNER_LOCAL, build

SMALL = GenerationRequest(
    prompt="a cat",
    checkpoint="tinyA.safetensors",
    width=64,
    height=64,
    steps=1,
    sampler="Euler",
    seed=Seed(seed=7, subseed=70),
)
GOLDEN = Path(__file__).parents[2] / "golden" / "api"
Make = Callable[..., tuple[str, list[str], bytes]]


@pytest.fixture(scope="module")
def studio(
    tiny_checkpoints: Path, tiny_networks: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Studio]:
    folder = tmp_path_factory.mktemp("data")
    loras = folder / "models" / "Lora"
    loras.mkdir(parents=True)
    whole = load_file(tiny_networks / "lora" / "loralin.safetensors")
    few = {key: value for key, value in whole.items() if "mid_block" in key}
    save_file(few, loras / "mid.safetensors", metadata={"ss_output_name": "middle"})
    text = {key: value for key, value in whole.items() if key.startswith("lora_te_")}
    bundle = {"bundle_emb.pivot.string_to_param.*": torch.ones(2, 128)}
    save_file(
        {**text, **bundle, "lora_unet_nowhere.diff": torch.ones(2)}, loras / "text.safetensors"
    )
    key = next(key for key in few if key.endswith("to_q.lora_down.weight"))
    broken = {f"{key.partition('.')[0]}.diff": torch.ones(3, 5)}
    save_file(
        {**few, **{key.replace("to_q", "to_k"): torch.ones(1, 1)}, **broken},
        loras / "bad.safetensors",
    )
    flags = Flags(
        checkpoint_dir=(tiny_checkpoints,),
        checkpoint="tinyA.safetensors",
        dtype="float32",
        threads=1,
        model_dirs=network_folders(tiny_networks),
    )
    services = build(flags, make_paths(folder))
    services.settings.update({"live_previews_enable": False})
    services.start_working()
    yield Studio(services)
    services.stop()


@pytest.fixture
def make(studio: Studio) -> Make:
    """Make one picture: its infotext, the job's warnings, its file."""

    def made(prompt: str = "", **changes: object) -> tuple[str, list[str], bytes]:
        request = replace(SMALL, **{"prompt": f"a cat {prompt}".strip(), **changes})  # type: ignore[arg-type]
        job = studio.services.submit(request, OWNER_LOCAL)
        events = studio.follow(job)
        assert events[-1].type is EventType.DONE, events[-1].data
        (unit,) = studio.units(job)
        warnings = [str(one.data["text"]) for one in events if one.type is EventType.WARNING]
        return str(unit.facts["infotext"]), warnings, pixels(studio.content(unit))

    return made


def pixels(content: bytes) -> bytes:
    return Image.open(io.BytesIO(content)).convert("RGB").tobytes()


def weights(studio: Studio) -> dict[str, Tensor]:
    with studio.services._selection.use("tinyA.safetensors") as model:
        return {
            f"{role}.{name}": parameter.clone()
            for role, network in model.networks.items()
            for name, parameter in network.named_parameters()
        }


def changed(studio: Studio, before: dict[str, Tensor]) -> set[str]:
    after = weights(studio)
    assert after.keys() == before.keys()
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_networks_come_and_go_without_a_trace(studio: Studio, make: Make) -> None:
    _, _, plain = make()
    before = weights(studio)
    _, _, drawn = make("<lora:loralin:0.7><lora:dora:0.5>")
    touched = changed(studio, before)
    assert any(name.startswith("unet.") for name in touched)
    assert any(name.startswith("text_encoder.") for name in touched)
    _, _, other = make("<lora:mid:1>")
    assert 0 < len(changed(studio, before)) < len(touched)
    _, _, again = make()
    assert changed(studio, before) == set()
    assert again == plain
    assert len({plain, drawn, other}) == 3


def test_two_weights_are_for_the_text_encoder_and_the_unet(studio: Studio, make: Make) -> None:
    make()
    before = weights(studio)
    make("<lora:loralin:0:1>")
    assert {name.partition(".")[0] for name in changed(studio, before)} == {"unet"}
    make("<lora:loralin:te=1:unet=0>")
    assert {name.partition(".")[0] for name in changed(studio, before)} == {"text_encoder"}


def test_the_same_name_twice_has_the_last_weight_twice(make: Make) -> None:
    once = make("<lora:mid:0.4>")[2]
    for prompt in (
        "<lora:mid:0.5><lora:mid:0.2>",
        "<lyco:middle:0.4>",
        "<lora:mid:0.2><lora:middle:0.2>",
    ):
        pairs = zip(make(prompt)[2], once, strict=True)
        assert max(abs(found - expected) for found, expected in pairs) <= 1


def test_what_cannot_be_put_on_is_said(make: Make) -> None:
    plain = make()
    text, warnings, picture = make("<lora:nothing:1><lora:none2:1> <magic:x>")
    assert "Lora not found: nothing, none2" in warnings
    assert "Skipping unknown extra network: magic" in warnings
    assert "Lora hashes" not in text
    assert picture == plain[2]
    text, warnings, _ = make("<lora:text:0.5>")
    assert any("lora_unet_nowhere" in warning for warning in warnings)
    _, warnings, _ = make("<lora:bad:0.5>")
    assert any(warning.startswith("Networks with errors: bad (") for warning in warnings)
    with pytest.raises(InvalidRequest, match="not a number"):
        make("<lora:mid:strong>")


def test_bundled_embeddings_are_there_while_their_lora_is(make: Make) -> None:
    text, _, _ = make("pivot <lora:text:0.5>")
    assert 'TI hashes: "pivot: text"' in text
    text, _, _ = make("pivot")
    assert "TI hashes" not in text


def test_networks_can_be_left_out(make: Make) -> None:
    plain = make()
    text, _, picture = make("<lora:mid:1>", extra_networks=False)
    assert picture == plain[2]
    assert "<lora:mid:1>" in text
    assert "Lora hashes" not in text


def test_a_setting_adds_a_lora_to_every_prompt(make: Make) -> None:
    wanted = make("<lora:mid:0.5>")
    overrides = {"sd_lora": "mid", "extra_networks_default_multiplier": 0.5}
    text, _, picture = make(overrides=overrides)
    assert picture == wanted[2]
    assert text.startswith("a cat<lora:mid:0.5>\n")
    assert make("<lora:mid:0.5>", overrides=overrides)[2] == wanted[2]


def test_hires_prompts_have_networks_of_their_own(studio: Studio, make: Make) -> None:
    make()
    before = weights(studio)
    hires = Hires(scale=1.0, steps=1, prompt="a cat <lora:mid:1>", denoising_strength=0.7)
    text, _, _ = make(hires=hires)
    assert 'Lora hashes: "mid: ' in text
    assert changed(studio, before)
    make(hires=replace(hires, prompt="a cat"))
    assert not changed(studio, before)


def test_a_refiner_of_the_same_family_keeps_the_networks(make: Make) -> None:
    refiner = Refiner(checkpoint="tinyB.safetensors", switch_at=0.0)
    refined = make("<lora:loralin:1>", refiner=refiner)
    alone = make("<lora:loralin:1>", checkpoint="tinyB.safetensors")
    assert refined[2] == alone[2]


def test_a_vae_is_chosen_and_the_own_one_restored(studio: Studio, make: Make) -> None:
    plain = make()
    before = weights(studio)
    text, _, drawn = make(vae="vaeB.safetensors")
    assert "VAE hash: d8a37c8085, VAE: vaeB.safetensors" in text
    assert {name.partition(".")[0] for name in changed(studio, before)} == {"vae"}
    assert drawn != plain[2]
    assert make(overrides={"sd_vae": "vaeB.safetensors"})[2] == drawn
    text, _, own = make(vae="None", overrides={"sd_vae": "vaeB.safetensors"})
    assert own == plain[2]
    assert "VAE" not in text
    assert not changed(studio, before)
    _, warnings, own = make(vae="missing.pt")
    assert "There is no VAE 'missing.pt'" in warnings[0]
    assert own == plain[2]


def test_another_checkpoint_over_the_same_networks_is_clean(make: Make) -> None:
    plain = make(checkpoint="tinyB.safetensors")
    make("<lora:loralin:1>", vae="vaeB.safetensors")
    assert make(checkpoint="tinyB.safetensors")[2] == plain[2]
    own = make()
    make("<lora:loralin:1>", checkpoint="tinyB.safetensors")
    assert make()[2] == own[2]


def test_a_file_that_was_written_anew_is_read_anew(studio: Studio, make: Make) -> None:
    path = studio.services.paths.models / "Lora" / "fresh.safetensors"
    whole = load_file(path.with_name("mid.safetensors"))
    save_file(whole, path)
    first = make("<lora:fresh:1>")
    save_file({key: value * 2 for key, value in whole.items()}, path)
    second = make("<lora:fresh:1>")
    assert first[2] != second[2]
    assert first[0] != second[0]


def test_lists_are_a1111s(studio: Studio) -> None:
    client = TestClient(create_app(studio.services), base_url="http://127.0.0.1:7860")
    loras = {one["name"]: one for one in client.get("/sdapi/v1/loras").json()}
    assert loras["mid"]["alias"] == "middle"
    assert loras["loralin"]["metadata"]["ss_base_model_version"] == "sd_v1"
    assert loras["text"] == {
        "name": "text",
        "alias": "text",
        "path": str(studio.services.paths.models / "Lora" / "text.safetensors"),
        "metadata": {},
    }
    embeddings = json.loads((GOLDEN / "embeddings.json").read_text())
    assert client.get("/sdapi/v1/embeddings").json() == embeddings
    (vae,) = client.get("/sdapi/v1/sd-vae").json()
    assert vae["model_name"] == "vaeB.safetensors"
    assert vae["filename"].endswith("vae/vaeB.safetensors")
    folder = studio.services.paths.models / "hypernetworks"
    folder.mkdir()
    (folder / "h.pt").write_bytes(b"")
    assert client.post("/sdapi/v1/refresh-loras").status_code == 200
    assert client.get("/sdapi/v1/hypernetworks").json() == [
        {"name": "h", "path": str(folder / "h.pt")}
    ]


def test_pasting_finds_a_lora_by_its_hash(studio: Studio) -> None:
    known = studio.services._networks.shelf.lora_hash("mid")
    text = (
        "a cat <lora:theirs:0.7>\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 1,"
        f' Lora hashes: "theirs: {known}"'
    )
    assert studio.services.paste(text).changes["prompt"] == "a cat <lora:middle:0.7>"


def test_a_json_beside_the_checkpoint_may_name_a_vae(studio: Studio, tmp_path: Path) -> None:
    rules = studio.services._networks.vaes
    checkpoint = tmp_path / "model.safetensors"
    assert rules.choose("Automatic", checkpoint, overrides=True).file is None
    checkpoint.with_suffix(".json").write_text(json.dumps({"vae": "vaeB.safetensors"}))
    chosen = rules.choose("Automatic", checkpoint, overrides=True).file
    assert chosen is not None
    assert rules.choose("None", checkpoint, overrides=True).file is None
    assert rules.choose("None", checkpoint, overrides=False).file == chosen
    beside = rules.choose("Automatic", tmp_path / "vaeB.ckpt", overrides=True)
    assert beside.file == chosen
