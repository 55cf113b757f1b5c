/* ldmatrix and mma.sync: fragments as published in PTX ISA 9.0, sections 9.7.14.5.8
 * and 9.7.14.5.15.
 *
 * Products and sums are made in fp32 in the order of k. Tensor cores keep more bits of a product
 * and add several at once in an order that is not published: their last bits differ. */
#include "access.h"
#include "half.h"

typedef uint32_t u32;
enum { ROW_BYTES = 16, MATRIX = 8 };

static void all_lanes(const sim_insn *i, uint32_t mask)
{
    (void)i;
    if (mask != SIM_FULL) sim_die("lanes %08x are missing: the whole warp must take part", ~mask);
}

/* Lane 8 j + r holds the address of row r of matrix j; lane l receives elements 2 (l % 4) and the
 * next of row l / 4, transposed: of the column. i->flags: transposed. */
void sim_ldmatrix(sim_warp *w, const sim_insn *i, uint32_t mask)
{
    all_lanes(i, mask);
    uint8_t *p[SIM_LANES];
    const uint32_t rows = i->count == 4 ? SIM_FULL : (1u << (MATRIX * i->count)) - 1;
    sim_access(w, i, rows, ROW_BYTES, p);
    for (int j = 0; j < i->count; j++) {
        uint16_t m[MATRIX][MATRIX];
        u32 *d = lane_row(w, i->row[j]);
        for (int r = 0; r < MATRIX; r++) memcpy(m[r], p[MATRIX * j + r], ROW_BYTES);
        for (int l = 0; l < SIM_LANES; l++) {
            const int r = l / 4, c = l % 4 * 2;
            d[l] = i->flags ? (u32)m[c][r] | (u32)m[c + 1][r] << 16
                            : (u32)m[r][c] | (u32)m[r][c + 1] << 16;
        }
    }
}

/* d = a b + c for m = 16, n = 8, k = i->count (8 or 16): rows 0..3 d, then a, b (each 16-bit
 * pairs), c. */
void sim_mma(sim_warp *w, const sim_insn *i, uint32_t mask)
{
    all_lanes(i, mask);
    const int k = i->count, parts = k / 4, a0 = 4, b0 = a0 + parts, c0 = b0 + parts / 2;
    float a[16][16], b[16][8], c[16][8];
    for (int l = 0; l < SIM_LANES; l++) {
        const int g = l / 4, q = l % 4 * 2;
        for (int r = 0; r < parts; r++)
            for (int h = 0; h < 2; h++) {
                const u32 v = ((u32 *)lane_row(w, i->row[a0 + r]))[l] >> (16 * h);
                a[g + r % 2 * 8][q + h + r / 2 * 8] = i->flags ? from_f16(v) : from_bf16(v);
            }
        for (int r = 0; r < parts / 2; r++)
            for (int h = 0; h < 2; h++) {
                const u32 v = ((u32 *)lane_row(w, i->row[b0 + r]))[l] >> (16 * h);
                b[q + h + r * 8][g] = i->flags ? from_f16(v) : from_bf16(v);
            }
        for (int r = 0; r < 4; r++)
            c[g + r / 2 * 8][q + r % 2] = as_float(((u32 *)lane_row(w, i->row[c0 + r]))[l]);
    }
    for (int r = 0; r < 16; r++)
        for (int n = 0; n < k; n++)
            for (int col = 0; col < 8; col++) c[r][col] += a[r][n] * b[n][col];
    for (int l = 0; l < SIM_LANES; l++)
        for (int r = 0; r < 4; r++)
            ((u32 *)lane_row(w, i->row[r]))[l] =
                result_bits(c[l / 4 + r / 2 * 8][l % 4 * 2 + r % 2]);
}
