"""images.safetensors: small pictures in every format and layout, and what Pillow makes of them.

    python3 make_images.py OUT.safetensors        (Pillow 13, numpy, safetensors)

NAME.file holds the bytes of a file, NAME.rgb the pixels [h,w,3] of
ImageOps.exif_transpose(Image.open(...)).convert("RGB").
"""
import io
import struct
import sys
import zlib

import numpy as np
from PIL import Image, ImageOps
from safetensors.numpy import save_file

W, H = 7, 5
tensors = {}
noise = np.random.default_rng(1).integers(0, 256, (H, W, 4), dtype=np.uint8)
rgba = Image.fromarray(noise, "RGBA")
rgb = rgba.convert("RGB")
grey = rgb.convert("L")
smooth = Image.fromarray(np.fromfunction(lambda y, x, c: 40 + 20 * x + 9 * y * (c - 1), (16, 24, 3)).astype(np.uint8))


def add(name, data):
    image = Image.open(io.BytesIO(data))
    tensors[name + ".file"] = np.frombuffer(data, np.uint8).copy()
    tensors[name + ".rgb"] = np.ascontiguousarray(np.asarray(ImageOps.exif_transpose(image).convert("RGB")))


def save(name, image, format, **options):
    to = io.BytesIO()
    image.save(to, format, **options)
    add(name, to.getvalue())
    return to.getvalue()


def exif(value, order="<", kind=3):
    """A TIFF structure with the orientation alone."""
    packed = struct.pack(order + {1: "B3x", 3: "H2x", 4: "I"}[kind], value)
    return ((b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IHHHI", 8, 1, 0x112, kind, 1) + packed
            + b"\0\0\0\0")


def xmp(value):
    return (f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="{value}"/></x:xmpmeta>').encode()


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(depth, colour, rows, extra=b"", late=b""):
    header = struct.pack(">IIBBBBB", W, H, depth, colour, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + late
            + chunk(b"IEND", b""))


# ---- PNG
for mode in ("1", "L", "LA", "RGB", "RGBA"):
    save(f"png_{mode}", rgba.convert(mode), "PNG")
indexed = rgb.quantize(7)
save("png_P", indexed, "PNG")
save("png_P_transparent", indexed, "PNG", transparency=bytes([0, 255, 128]))
save("png_L_transparent", grey, "PNG", transparency=int(np.asarray(grey)[0, 0]))
wide = np.random.default_rng(2).integers(0, 65536, (H, W, 4)).astype(">u2")
add("png_rgb16", png(16, 2, b"".join(b"\0" + wide[y, :, :3].tobytes() for y in range(H))))
add("png_rgba16", png(16, 6, b"".join(b"\0" + wide[y].tobytes() for y in range(H))))
add("png_la16", png(16, 4, b"".join(b"\0" + wide[y, :, :2].tobytes() for y in range(H))))
plain = b"".join(b"\0" + noise[y, :, :3].tobytes() for y in range(H))
for value in range(10):
    add(f"png_exif{value}", png(8, 2, plain, chunk(b"eXIf", exif(value, "<>"[value % 2], (3, 4)[value // 2 % 2]))))
add("png_exif_late", png(8, 2, plain, late=chunk(b"eXIf", exif(6))))
packet = b"XML:com.adobe.xmp\0\0\0\0\0" + xmp(8)
add("png_xmp", png(8, 2, plain, chunk(b"iTXt", packet)))
add("png_exif_and_xmp", png(8, 2, plain, chunk(b"eXIf", exif(1)) + chunk(b"iTXt", packet)))
profile = b"Exif\0\0" + exif(5)
text = b"\nexif\n%8d\n" % len(profile) + profile.hex().encode() + b"\n"
add("png_raw_profile", png(8, 2, plain, chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text))))

# ---- JPEG: no halved colours, so that two decoders agree
cmyk = save("jpeg_cmyk", smooth.convert("CMYK"), "JPEG", quality=95)
at = cmyk.index(b"Adobe")
add("jpeg_ycck", cmyk[:at + 11] + b"\2" + cmyk[at + 12:])
save("jpeg_grey", smooth.convert("L"), "JPEG", quality=95)
for value in (1, 3, 6):
    save(f"jpeg_exif{value}", smooth, "JPEG", quality=95, subsampling=0, exif=b"Exif\0\0" + exif(value, ">"))
save("jpeg_xmp", smooth, "JPEG", quality=95, subsampling=0, xmp=xmp(7))

# ---- WebP
save("webp_rgba", rgba, "WEBP", lossless=True, exact=True)
for value in (2, 6):
    save(f"webp_exif{value}", rgb, "WEBP", lossless=True, exif=exif(value))
save("webp_exif_prefix", rgb, "WEBP", lossless=True, exif=b"Exif\0\0" + exif(5, ">"))
save("webp_xmp", rgb, "WEBP", lossless=True, xmp=xmp(4))
save("webp_animated", rgb, "WEBP", lossless=True, save_all=True, append_images=[ImageOps.invert(rgb)])

# ---- GIF
save("gif", indexed, "GIF", interlace=0)
tall = Image.fromarray(np.random.default_rng(3).integers(0, 7, (19, 5), dtype=np.uint8), "P")
tall.putpalette(indexed.getpalette()[:21])
save("gif_interlaced", tall, "GIF", interlace=1)
save("gif_grey", grey, "GIF")
save("gif_transparent", indexed, "GIF", transparency=3)
animated = save("gif_animated", indexed, "GIF", save_all=True, append_images=[tall.resize((W, H))])
add("gif_larger_screen", animated[:6] + struct.pack("<HH", W + 2, H + 3) + animated[10:])
clear = save("gif_clear", indexed, "GIF", transparency=2)
add("gif_clear_larger_screen", clear[:6] + struct.pack("<HH", W + 2, H + 3) + clear[10:])
add("gif_smaller_screen", animated[:6] + struct.pack("<HH", W - 2, H - 3) + animated[10:])

# ---- BMP
for mode in ("1", "L", "P", "RGB", "RGBA"):
    save(f"bmp_{mode}", indexed if mode == "P" else rgba.convert(mode), "BMP")


def bmp(bits, compression, body, masks=b"", palette=b"", height=H, width=W):
    at = 14 + 40 + len(masks) + len(palette)
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, len(body), 0, 0, len(palette) // 4, 0)
    return b"BM" + struct.pack("<IHHI", at + len(body), 0, 0, at) + info + masks + palette + body


words = np.random.default_rng(4).integers(0, 65536, (H, 8)).astype("<u2").tobytes()
add("bmp_555", bmp(16, 0, words))
add("bmp_565", bmp(16, 3, words, struct.pack("<III", 0xF800, 0x7E0, 0x1F)))
double = np.random.default_rng(5).integers(0, 2**32, (H, W)).astype("<u4").tobytes()
add("bmp_32", bmp(32, 0, double))
add("bmp_32_fields", bmp(32, 3, double, struct.pack("<III", 0xFF000000, 0xFF0000, 0xFF00)))
add("bmp_top_down", bmp(32, 0, double, height=-H))
colours = bytes(indexed.getpalette()[:21])
palette = b"".join(colours[i + 2:i - 1 if i else None:-1] + b"\0" for i in range(0, 21, 3))
add("bmp_4", bmp(4, 0, bytes(range(0, 5)) * 4, palette=palette + b"\0\0\0\0" * 9))
runs = b"\3\1\0\4\2\3\4\5" + b"\0\0" + b"\7\2\0\0" + b"\0\2\2\1" + b"\5\3\0\0" + b"\7\6\0\1"
add("bmp_rle8", bmp(8, 1, runs, palette=palette))
runs = b"\3\x12\0\3\x34\x50" + b"\0\0" + b"\7\x21\0\0" + b"\0\2\2\1" + b"\5\x36\0\0" + b"\7\x66\0\1"
add("bmp_rle4", bmp(4, 2, runs, palette=palette))
old = struct.pack("<IHHHH", 12, W, H, 1, 24) + b"".join(noise[y, :, :3].tobytes() + b"\0\0\0" for y in range(H))
add("bmp_os2", b"BM" + struct.pack("<IHHI", 14 + len(old), 0, 0, 26) + old)

# ---- TIFF
for mode in ("1", "L", "LA", "RGB", "RGBA", "CMYK"):
    save(f"tiff_{mode}", rgba.convert(mode) if mode != "CMYK" else rgb.convert("CMYK"), "TIFF")
save("tiff_P", indexed, "TIFF")
for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits"):
    save(f"tiff_{compression}", rgb, "TIFF", compression=compression)
save("tiff_group4", grey.convert("1"), "TIFF", compression="group4")
save("tiff_big", rgb, "TIFF", big_tiff=True)
alpha = save("tiff_alpha", rgba, "TIFF")
extra = struct.pack("<HHIH", 338, 3, 1, 2)
assert extra in alpha
add("tiff_premultiplied", alpha.replace(extra, struct.pack("<HHIH", 338, 3, 1, 1)))
save("tiff_pages", rgb, "TIFF", save_all=True, append_images=[ImageOps.invert(rgb)])
for value in range(1, 9):
    save(f"tiff_orientation{value}", rgb, "TIFF", tiffinfo={0x112: value})
save("tiff_xmp", rgb, "TIFF", tiffinfo={700: xmp(6)})


def tiff16(order, samples):
    pixels = wide[:, :, :samples].astype(order + "u2").tobytes()
    tags = [(256, 4, 1, W), (257, 4, 1, H), (258, 3, samples, None), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, None),
            (277, 3, 1, samples), (278, 4, 1, H), (279, 4, 1, len(pixels))]
    at = 8 + 2 + 12 * len(tags) + 4
    values = {258: at, 273: at + 2 * samples}
    out = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(tags))
    for tag, kind, count, value in tags:
        value = values.get(tag, value)
        short = kind == 3 and count == 1
        out += struct.pack(order + "HHI", tag, kind, count) + struct.pack(order + ("HH" if short else "I"),
                                                                          *((value, 0) if short else (value,)))
    return out + b"\0\0\0\0" + struct.pack(order + f"{samples}H", *[16] * samples) + pixels


add("tiff_rgb16", tiff16("<", 3))
add("tiff_rgb16_big", tiff16(">", 3))

save_file(tensors, sys.argv[1], {"pillow": Image.__version__})
