/* mix64.h: the last step of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), a permutation of the
 * words of 64 bits. Who compiles it for another machine defines MIX64_QUALIFIERS before. */
#pragma once

#include <stdint.h>

#ifndef MIX64_QUALIFIERS
#define MIX64_QUALIFIERS static inline
#endif

MIX64_QUALIFIERS uint64_t mix64(uint64_t z)
{
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}
