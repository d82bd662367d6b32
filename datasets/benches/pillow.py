"""The usual transform of PyTorch's ImageNet training with Pillow and NumPy, for the bench `photos` to set itself beside.

Takes the folder of photographs, one folder a class. For each line `WALKS SEED` on standard input it makes all of them
into training images that many times, and answers with the seconds of processor time that took.
"""

import io
import math
import random
import sys
import time
from pathlib import Path

import numpy
from PIL import Image

SIDE = 224
MEAN = numpy.array([0.485, 0.456, 0.406], numpy.float32)[:, None, None]
STD = numpy.array([0.229, 0.224, 0.225], numpy.float32)[:, None, None]


def crop_of(width, height, draw):
    """torchvision's RandomResizedCrop: 8 % to all of the area, sides 3:4 to 4:3; ten tries, then the middle."""
    for _ in range(10):
        area = width * height * draw.uniform(0.08, 1.0)
        ratio = math.exp(draw.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            return draw.randint(0, width - w), draw.randint(0, height - h), w, h
    side = min(width, height)
    return (width - side) // 2, (height - side) // 2, side, side


def training_image(file, draw):
    """Random-resized-crop, flip, ToTensor, Normalize."""
    image = Image.open(io.BytesIO(file)).convert("RGB")
    x, y, w, h = crop_of(image.width, image.height, draw)
    image = image.crop((x, y, x + w, y + h)).resize((SIDE, SIDE), Image.BILINEAR)
    if draw.random() < 0.5:
        image = image.transpose(Image.FLIP_LEFT_RIGHT)
    planes = numpy.ascontiguousarray(numpy.asarray(image).transpose(2, 0, 1))
    return (planes.astype(numpy.float32) / 255 - MEAN) / STD


def main():
    files = [path.read_bytes() for path in sorted(Path(sys.argv[1]).glob("*/*"))]
    print(f"Pillow {Image.__version__}, NumPy {numpy.__version__}", flush=True)
    for line in sys.stdin:
        walks, seed = map(int, line.split())
        draw = random.Random(seed)
        began = time.process_time()
        for _ in range(walks):
            for file in files:
                training_image(file, draw)
        print(time.process_time() - began, flush=True)


main()
