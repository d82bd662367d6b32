"""What torchvision makes of the same weights: the numbers in torchvision.rs, and files of random weights.

    python logits.py                  prints the logits for weights filled by a formula
    python logits.py FOLDER [MODEL]   writes weights, an input and its logits for each model into FOLDER

Needs torch, torchvision, numpy and safetensors; made with torch 2.11.0 and torchvision 0.26.0 on one thread.
"""

import pathlib
import sys

import numpy
import torch
import torchvision

MODELS = {"resnet18": 64, "resnet50": 64, "alexnet": 63, "googlenet": 64}


def build(name):
    options = dict(aux_logits=False, transform_input=False, init_weights=False) if name == "googlenet" else {}
    return getattr(torchvision.models, name)(weights=None, **options).eval()


def noise(name, count):
    """Numbers in [-1, 1) from a mixing function of 32 bits, exact in single precision."""
    start = 2166136261
    for byte in name.encode():
        start = ((start ^ byte) * 16777619) % 2**32
    x = numpy.arange(count, dtype=numpy.uint64)
    x = (x * 0x9E3779B1 + start) % 2**32
    x ^= x >> 16
    x = x * 0x85EBCA6B % 2**32
    x ^= x >> 13
    x = x * 0xC2B2AE35 % 2**32
    x ^= x >> 16
    return ((x >> 8).astype(numpy.float64) / 2**23 - 1).astype(numpy.float32)


def fill(name, tensor):
    values = noise(name, tensor.numel()).reshape(tensor.shape)
    if tensor.dim() > 1:
        values = values * numpy.float32((3 / tensor[0].numel()) ** 0.5)
    elif name.endswith("running_var") or name.endswith("weight"):
        values = numpy.float32(1) + numpy.float32(0.25) * values
    else:
        values = numpy.float32(0.25) * values
    tensor.copy_(torch.from_numpy(values))


@torch.no_grad()
def formula(name):
    model = build(name)
    for key, tensor in model.state_dict().items():
        if not key.endswith("num_batches_tracked"):
            fill(key, tensor)
    side = MODELS[name]
    image = torch.from_numpy(noise("image", 3 * side * side)).reshape(1, 3, side, side)
    logits = model(image)[0]
    chosen = ", ".join(f"{value:.6f}" for value in logits[::125].tolist())
    print(f'("{name}", {side}, [{chosen}]),')


@torch.no_grad()
def random(name, folder):
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = build(name)
    side = 224
    # Normalization gets statistics that keep the numbers in bounds, and scales that are not all one.
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
            module.weight.uniform_(0.5, 1.5)
            module.bias.normal_(0, 0.2)
    model.train()
    model(torch.randn(8, 3, side, side))
    model.eval()
    image = torch.randn(2, 3, side, side)
    save_file(model.state_dict(), folder / f"{name}.safetensors")
    save_file({"image": image, "logits": model(image)}, folder / f"{name}.logits.safetensors")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for model_name in sys.argv[2:] or MODELS:
        if len(sys.argv) > 1:
            random(model_name, pathlib.Path(sys.argv[1]))
        else:
            formula(model_name)
