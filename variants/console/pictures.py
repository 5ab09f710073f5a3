"""Turn an uploaded file into a picture that is safe to serve: decoded, re-encoded, stripped of everything else.

What is kept are the bytes our own encoder wrote. Whatever hid in the upload (EXIF with its places and names, scripts
behind the image data, a second format) is gone because nothing of the upload is copied.
"""

import hashlib
import io
import warnings
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageOps, UnidentifiedImageError

MOST_BYTES: Final = 2 * 1024 * 1024  # of the upload, and of what is kept
MOST_PIXELS: Final = 25_000_000  # a 25-megapixel camera; decoded it takes 100 MB, which one worker can afford
LONGEST_SIDE: Final = 2400  # pixels; twice the widest picture on a page, for dense screens
ENDINGS: Final = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
MODES: Final = {"PNG": ("RGB", "RGBA", "L", "LA", "P"), "JPEG": ("RGB", "L"), "WEBP": ("RGB", "RGBA")}
# Quality and part of the size, tried in turn: noise over the whole screen, at 1280 × 960, fits with the last.
SMALLER: Final = ((80, 1.0), (60, 1.0), (40, 1.0), (40, 0.5), (20, 0.25))
QUALITY: Final = 88  # JPEG and WebP: no visible difference on a page; half the bytes of 95


class BadPicture(ValueError):
    """The file cannot be used; the message tells a person what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    data: bytes
    content_type: str
    width: int
    height: int

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def read_picture(upload: bytes) -> Picture:
    """Return the picture in `upload`, encoded again. Raise BadPicture."""
    if len(upload) > MOST_BYTES:
        size = len(upload) / 1024 / 1024
        raise BadPicture(f"This file has {size:.1f} MB; the most is 2 MB. Save it smaller and try again.")
    image, kind = _decode(upload)
    upright = ImageOps.exif_transpose(image)
    upright.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    data = _encode(upright, kind)
    if len(data) > MOST_BYTES:
        raise BadPicture("This picture is still larger than 2 MB after packing. Save it with fewer pixels.")
    return Picture(data=data, content_type=ENDINGS[kind], width=upright.width, height=upright.height)


def packed(picture: bytes, *, most_bytes: int) -> Picture:
    """Return a picture of our own as WebP of at most `most_bytes`: coarser, and at last smaller, until it fits."""
    image = Image.open(io.BytesIO(picture)).convert("RGB")
    for quality, part in SMALLER:
        shrunk = image if part == 1 else image.resize((int(image.width * part), int(image.height * part)))
        kept = io.BytesIO()
        shrunk.save(kept, "WEBP", quality=quality)
        if kept.tell() <= most_bytes:
            break
    return Picture(data=kept.getvalue(), content_type=ENDINGS["WEBP"], width=shrunk.width, height=shrunk.height)


def _decode(upload: bytes) -> tuple[Image.Image, str]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(upload), formats=list(ENDINGS))
            if image.width * image.height > MOST_PIXELS:
                raise BadPicture(f"{image.width} × {image.height} pixels are too many. Save it with fewer.")
            image.load()
    except (UnidentifiedImageError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadPicture("This is not a PNG, JPEG or WebP picture. Save it as one of these and try again.") from error
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, BadPicture):
            raise
        raise BadPicture("This picture is damaged. Save it again and retry.") from error
    return image, str(image.format)


def _encode(image: Image.Image, kind: str) -> bytes:
    if image.mode not in MODES[kind]:
        image = image.convert("RGB" if kind == "JPEG" or not image.has_transparency_data else "RGBA")
    clean = Image.new(image.mode, image.size)
    clean.paste(image)
    if image.mode == "P" and (palette := image.getpalette()):
        clean.putpalette(palette)
    options = {"transparency": image.info["transparency"]} if kind == "PNG" and "transparency" in image.info else {}
    packed = io.BytesIO()
    clean.save(packed, kind, optimize=True, quality=QUALITY, **options)
    return packed.getvalue()
