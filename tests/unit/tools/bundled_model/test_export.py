from pathlib import Path

import torch
import yaml

from tools.bundled_model import export, networks, vae
from webui.families import ldm


def test_a_written_file_is_read_back(tmp_path: Path) -> None:
    torch.manual_seed(0)
    made = networks.Networks(networks.make_unet(), networks.make_text_encoder())
    trained = vae.training_network().state_dict()
    tensors = export.file_tensors(made, vae.exported_network(trained))
    path = export.write_model(tensors, 7, tmp_path)
    assert path.stat().st_size <= 45_000_000
    again, autoencoder = export.read_model(path)
    for name, value in made.unet.state_dict().items():
        assert torch.equal(again.unet.state_dict()[name], value.half().float()), name
    for name, value in made.text_encoder.state_dict().items():
        assert torch.equal(again.text_encoder.state_dict()[name], value.half().float()), name
    name = "decoder.up_blocks.0.resnets.0.conv1.weight"
    torch.testing.assert_close(autoencoder[name], trained[name], atol=1e-3, rtol=1e-2)


def test_the_yaml_describes_the_networks(tmp_path: Path) -> None:
    path = export.write_model({"x": torch.zeros(1)}, 0, tmp_path)
    params = ldm.read_params(yaml.safe_load(path.with_suffix(".yaml").read_text("utf-8")))
    assert params.parameterization == "v"
    with torch.device("meta"):
        unet = ldm.build_unet(params.unet)
        autoencoder = ldm.build_vae(params.vae, params.scale_factor)
    mine = {name: value.shape for name, value in networks.make_unet().state_dict().items()}
    assert {name: value.shape for name, value in unet.state_dict().items()} == mine
    exported = vae.exported_network(vae.training_network().state_dict()).state_dict()
    shapes = {name: value.shape for name, value in exported.items()}
    assert {name: value.shape for name, value in autoencoder.state_dict().items()} == shapes
