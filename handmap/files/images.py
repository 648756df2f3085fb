"""Image files: reads 16-bit depth PNGs, writes 8-bit images. The only module that imports Pillow."""

import io
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, UnidentifiedImageError

from handmap.files.atomic import write_file
from handmap.files.reading import read_bytes
from handmap.types.arrays import Uint8, Uint16
from handmap.types.errors import ConfigError, RecordingError

MAX_IMAGE_BYTES: Final = 256 << 20
PNG_BITS_AT: Final = 24  # the byte of a PNG, in its first chunk, that holds the bits of a sample
SAVE_DEPTH: Final = "save the depth itself, not a picture of it"


def read_depth_png(path: Path, advice: str = SAVE_DEPTH) -> Uint16:
    """The (height, width) uint16 values of a grayscale PNG with 16 bits per pixel.

    Raises RecordingError, with the advice, if the file is not one.
    """
    return decode_depth_png(_read_bytes(path), str(path), advice)


def decode_depth_png(content: bytes, name: str, advice: str = SAVE_DEPTH) -> Uint16:
    """The (height, width) uint16 values of the bytes of a 16-bit PNG; `name` appears in errors.

    Raises RecordingError, with the advice, if the bytes are not one.
    """
    with _open(content, name) as image:
        if image.format != "PNG" or image.mode not in ("I;16", "I;16B", "I"):
            raise RecordingError(f"depth image {name!r}: found {_kind(image)}, wanted a 16-bit grayscale PNG; {advice}")
        return _values(image, name).astype(np.uint16)


def read_nyu_png(path: Path, advice: str) -> Uint16:
    """Depth (height, width) in mm of an RGB picture as the NYU data set has them: 256 times green plus blue.

    Raises RecordingError, with the advice, if the file is no PNG with 8-bit RGB.
    """
    content = _read_bytes(path)
    with _open(content, str(path)) as image:
        is_rgb = image.format == "PNG" and image.mode == "RGB"
        is_deep = is_rgb and content[PNG_BITS_AT] != 8  # Pillow opens these, too, and drops the lower bytes
        if not is_rgb or is_deep:
            found = _kind(image) + (" of 16 bits a channel" if is_deep else "")
            raise RecordingError(f"image {str(path)!r}: found {found}, wanted a PNG with 8-bit RGB; {advice}")
        color = _values(image, str(path)).astype(np.uint16)
    depth: Uint16 = color[..., 1] * np.uint16(256) + color[..., 2]
    return depth


def write_picture(path: Path, pixels: Uint8) -> None:
    """Writes (height, width) gray or (height, width, 3) RGB uint8 pixels in the format of the file's ending."""
    refuse_ending(path)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format=Image.registered_extensions()[path.suffix.lower()])
    write_file(path, buffer.getvalue())


def refuse_ending(path: Path) -> None:
    """Raises ConfigError if a picture cannot be written in the format of the file's ending; call it before long work."""
    kind = Image.registered_extensions().get(path.suffix.lower(), "")
    try:
        Image.new("RGB", (8, 8)).save(io.BytesIO(), format=kind)
    except (KeyError, OSError, ValueError) as error:  # unknown, of no writer, or of one that is not for pixels
        raise ConfigError(
            f"picture {str(path)!r}: found the ending {path.suffix!r}, wanted that of a picture format; name a .png"
        ) from error


def encode_png(pixels: Uint8) -> bytes:
    """The bytes of a PNG of (height, width) gray or (height, width, 3) RGB uint8 pixels."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def write_depth_png(path: Path, depth: Uint16) -> None:
    """Writes (height, width) uint16 depth as a 16-bit grayscale PNG."""
    buffer = io.BytesIO()
    Image.fromarray(depth).save(buffer, format="PNG")
    write_file(path, buffer.getvalue())


def _kind(image: Image.Image) -> str:
    """What an image is, in words."""
    if image.format != "PNG":
        return f"a {image.format} file"
    kinds = {
        "I;16": "a 16-bit grayscale image", "I;16B": "a 16-bit grayscale image", "I": "a 16-bit grayscale image",
        "RGB": "a color image", "RGBA": "a color image", "P": "a color image", "L": "an 8-bit grayscale image",
        "LA": "a grayscale image with transparency", "1": "a black and white image",
    }  # fmt: skip
    return kinds.get(image.mode, f"pixels of kind {image.mode!r}")


def _read_bytes(path: Path) -> bytes:
    try:
        return read_bytes(path, MAX_IMAGE_BYTES)
    except OSError as error:
        raise RecordingError(f"image {str(path)!r} cannot be read ({error.strerror}); name an existing file") from error


def _open(content: bytes, name: str) -> Image.Image:
    try:
        return Image.open(io.BytesIO(content))
    except UnidentifiedImageError as error:
        raise RecordingError(f"image {name!r} is not a readable image; write it again as PNG") from error
    except Image.DecompressionBombError as error:
        raise RecordingError(
            f"image {name!r} is larger than any depth camera's ({error}); name a folder of frames"
        ) from error
    except Exception as error:  # Pillow's plugins can raise anything on damaged bytes
        raise _damaged(name, error) from error


def _values(image: Image.Image, name: str) -> Uint16 | Uint8:
    """The pixels, decoded here: only then does Pillow notice a truncated file."""
    try:
        return np.asarray(image)
    except Exception as error:  # as above
        raise _damaged(name, error) from error


def _damaged(name: str, error: Exception) -> RecordingError:
    reason = str(error).partition("\n")[0] or type(error).__name__
    return RecordingError(f"image {name!r} is truncated or damaged ({reason}); copy or record it again")
