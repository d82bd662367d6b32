"""The usual transform of PyTorch's ImageNet training with Pillow, for the bench `photos` to set itself beside: by
torchvision where it is installed, else with NumPy alone, which is somewhat faster.

Takes the folder of photographs, one folder a class. For each line `WALKS SEED` on standard input it makes all of them
into training images that many times, and answers with the seconds of processor time that took.
"""

import io
import math
import random
import sys
import time
from pathlib import Path

from PIL import Image

SIDE = 224
MEAN = [0.485, 0.456, 0.406]
STD = [0.229, 0.224, 0.225]


def by_torchvision():
    """The transform as PyTorch's own example has it, on one thread; and its name."""
    import torch
    import torchvision
    from torchvision import transforms

    torch.set_num_threads(1)
    steps = [transforms.RandomResizedCrop(SIDE), transforms.RandomHorizontalFlip(), transforms.ToTensor()]
    whole = transforms.Compose([*steps, transforms.Normalize(MEAN, STD)])
    return whole, torch.manual_seed, f"torchvision {torchvision.__version__}"


def by_numpy():
    """The same without torchvision."""
    import numpy

    mean, std = (numpy.array(values, numpy.float32)[:, None, None] for values in (MEAN, STD))

    def transform(image):
        x, y, w, h = crop_of(image.width, image.height)
        image = image.crop((x, y, x + w, y + h)).resize((SIDE, SIDE), Image.BILINEAR)
        if random.random() < 0.5:
            image = image.transpose(Image.FLIP_LEFT_RIGHT)
        planes = numpy.ascontiguousarray(numpy.asarray(image).transpose(2, 0, 1))
        return (planes.astype(numpy.float32) / 255 - mean) / std

    return transform, random.seed, f"NumPy {numpy.__version__}"


def crop_of(width, height):
    """8 % to all of the area, sides 3:4 to 4:3; ten tries, then the middle."""
    for _ in range(10):
        area = width * height * random.uniform(0.08, 1.0)
        ratio = math.exp(random.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            return random.randint(0, width - w), random.randint(0, height - h), w, h
    side = min(width, height)
    return (width - side) // 2, (height - side) // 2, side, side


def main():
    try:
        transform, seeded, name = by_torchvision()
    except ImportError:
        transform, seeded, name = by_numpy()
    files = [path.read_bytes() for path in sorted(Path(sys.argv[1]).glob("*/*"))]
    print(f"Pillow {Image.__version__} and {name}", flush=True)
    for line in sys.stdin:
        walks, seed = map(int, line.split())
        seeded(seed)
        began = time.process_time()
        for _ in range(walks):
            for file in files:
                transform(Image.open(io.BytesIO(file)).convert("RGB"))
        print(time.process_time() - began, flush=True)


main()
