/* targets.h: which linear layers get an adapter. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/status.h"

typedef struct soda_targets soda_targets;

/* Compiles a list of targets. Each is
 *
 *     attn      the projections of attention: names that end in .to_q, .to_k, .to_v, .to_out.0
 *               (U-Net) or .self_attn.q_proj, .k_proj, .v_proj, .out_proj (CLIP)
 *     anything  a POSIX extended regular expression, matched case-sensitively anywhere in the
 *     else      module name, with its component's prefix or without: ^unet\.down and ^down both
 *               work
 *
 * SODA_ERR_INPUT names the expression and what is wrong with it; an empty list is wrong too. */
soda_status targets_create(const char *const *list, int count, soda_targets **targets);
void targets_destroy(soda_targets *targets);

/* Whether linear layer `name` ("unet.down_blocks.0. ... .attn1.to_q") is a target. */
bool targets_match(const soda_targets *targets, const char *name);

/* Whether entry `index` of the list matches it. */
bool targets_match_one(const soda_targets *targets, int index, const char *name);
