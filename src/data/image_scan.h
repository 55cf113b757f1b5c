/* image_scan.h: the walk through the folders of a data set. */
#pragma once

#include "data/image_folder.h"

/* Adds the pictures of folder->root and of the folders below to folder->list, which is not sorted
 * then, and counts what is left out. Errors as image_folder_open. */
soda_status image_scan(image_folder *folder);
