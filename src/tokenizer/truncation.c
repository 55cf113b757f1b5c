#include "tokenizer/truncation.h"

static int64_t room(const truncation *row) { return row->length - 2; }

truncation truncation_begin(int32_t *ids, int length) { return (truncation){ids, length, 0}; }

void truncation_add(truncation *row, int32_t id)
{
    if (row->count < room(row)) row->ids[1 + row->count] = id;
    row->count++;
}

bool truncation_is_cut(const truncation *row) { return row->count > room(row); }

void truncation_finish(truncation *row, int32_t bos, int32_t eos, int32_t pad)
{
    int64_t end = 1 + (truncation_is_cut(row) ? room(row) : row->count);
    row->ids[0] = bos;
    row->ids[end++] = eos;
    while (end < row->length) row->ids[end++] = pad;
}
