/* random_choices.h: what chance decides about a sample of a run, as a function of the seed and of
 * the sample's number: how its picture is cropped and mirrored, and whether its caption is dropped.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Which of the `variants` of its picture (data/transform.h: crops, and these mirrored). */
int random_choices_variant(uint64_t seed, uint64_t number, int variants);

/* Whether it is trained with an empty caption; `share` is data.caption_dropout. */
bool random_choices_drop_caption(uint64_t seed, uint64_t number, double share);
