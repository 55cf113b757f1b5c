#include "data/random_choices.h"

#include "core/philox.h"

int random_choices_variant(uint64_t seed, uint64_t number, int variants)
{
    uint32_t word;
    philox_bits(philox_seed(seed), philox_at(number, PHILOX_VARIANT), &word, 1);
    return (int)philox_below(word, variants);
}

bool random_choices_drop_caption(uint64_t seed, uint64_t number, double share)
{
    uint32_t word;
    philox_bits(philox_seed(seed), philox_at(number, PHILOX_CAPTION), &word, 1);
    return ((double)word + 0.5) * 0x1p-32 < share;
}
