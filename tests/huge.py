"""Small files whose header tells of more pixels than any memory holds."""

import io
import struct
import zlib

from PIL import Image

SIDE = 60_000
START_OF_FRAME = b"\xff\xc0"  # of a JPEG; two bytes of length and one of bits, then the sides


def huge(kind: str, side: int = SIDE) -> bytes:
    """A picture of 8 x 8, encoded as ``kind`` (PNG, JPEG), that says it has ``side`` x ``side``."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, kind)
    content = buffer.getvalue()
    if kind == "PNG":  # signature, length, then IHDR with the sides and a checksum
        header = b"IHDR" + struct.pack(">II", side, side) + content[24:29]
        return content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:]
    place = content.index(START_OF_FRAME) + 5
    return content[:place] + struct.pack(">HH", side, side) + content[place + 4 :]
