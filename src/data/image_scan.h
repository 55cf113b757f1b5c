/* image_scan.h: the walk through the folders of a data set. */
#pragma once

#include "data/image_folder.h"

/* The endings of names of pictures that are read, for messages. */
#define IMAGE_ENDINGS ".png, .jpg, .jpeg, .jfif, .jpe, .webp, .gif, .bmp, .tif, .tiff"

/* Adds the pictures of folder->root and of the folders below to folder->list, which is not sorted
 * then, and counts what is left out. Errors as image_folder_open. */
soda_status image_scan(image_folder *folder);
