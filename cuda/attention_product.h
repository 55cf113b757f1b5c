/* attention_product.h: attention of any type and head width by products of whole matrices, some
 * queries of one image at a time, so that logits take a bounded part of memory:
 *
 *     s = scale q k';  p = softmax(s);  o = p v
 *     dp = do v';  ds = p (dp - rowsum(do o));  dq = scale ds k;  dk += scale ds' q;  dv += p' do
 *
 * Heads are the batch of a product. p and ds are of the type of q; s, dp and the sums over pieces
 * of dk and dv are fp32, and the pieces are added in ascending order. */
#pragma once

#include "backend/backend.h"
#include "cuda/launch.h"

soda_status attention_product_prepare(soda_call *call, const attention_sizes *z, bool grad);
soda_status attention_product_run(const soda_call *call, const attention_sizes *z);
soda_status attention_product_run_grad(const soda_call *call, const attention_sizes *z);
void attention_product_release(soda_call *call);
