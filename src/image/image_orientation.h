/* image_orientation.h: how a picture is to be turned before it is shown, from its EXIF or XMP data,
 * as ImageOps.exif_transpose of Pillow finds it: XMP counts if EXIF does not have the tag. */
#pragma once

#include "image/image_formats.h"

/* A part of a file; bytes == NULL: there is none. */
typedef struct {
    const uint8_t *bytes;
    size_t size;
} image_part;

/* 1 to 8, and 1 if there is none or it makes no sense. `exif` is a TIFF structure, maybe behind
 * "Exif\0\0"; `xmp` is a packet of XML. */
int image_orientation(image_part exif, image_part xmp);

/* Turns the picture as orientation `how` asks (Exif 2.3, 4.6.4, tag 0x112); from 5 on, width and
 * height change places. image->rgb may be NULL. */
soda_status image_turn(const image_source *source, int how, soda_image *image);
