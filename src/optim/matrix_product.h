/* matrix_product.h: the product of matrix_real.h with vectors of one size (no #pragma once).
 *
 * Expects REAL, TARGET (the function attribute that allows the instructions), VECTOR_BYTES, which
 * divides a row, and COPY(f), the name of this copy of f; undefines the last three. Vectors must
 * not be longer than the registers: gcc then keeps the sums in memory, ten times slower. */
enum { COPY(VECTOR) = VECTOR_BYTES / sizeof(REAL) };

typedef REAL COPY(vec) __attribute__((vector_size(VECTOR_BYTES), may_alias));

/* C[0..rows)[0..vecs VECTOR) = sum over k of A[r rs + k cs] B[k]; A' is A with its strides
 * swapped. */
static inline __attribute__((always_inline)) TARGET void
COPY(tile)(REAL *C, const REAL *A, int64_t rs, int64_t cs, const REAL *B, int64_t ld, int depth,
           const int rows, const int vecs)
{
    COPY(vec) acc[4][2] = {{{0}}};
    for (int k = 0; k < depth; k++) {
        const COPY(vec) *b = (const COPY(vec) *)(B + k * ld);
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < vecs; v++) acc[r][v] += A[r * rs + k * cs] * b[v];
    }
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vecs; v++) ((COPY(vec) *)(C + r * ld))[v] = acc[r][v];
}

static inline __attribute__((always_inline)) TARGET void
COPY(tiles)(REAL *C, const REAL *A, int64_t rs, int64_t cs, const REAL *B, int64_t ld, int rows,
            int depth, const int vecs)
{
    int i = 0;
    for (; i + 4 <= rows; i += 4) COPY(tile)(C + i * ld, A + i * rs, rs, cs, B, ld, depth, 4, vecs);
    for (; i < rows; i++) COPY(tile)(C + i * ld, A + i * rs, rs, cs, B, ld, depth, 1, vecs);
}

TARGET static void COPY(multiply)(REAL *C, const REAL *A, int64_t rs, int64_t cs, const REAL *B,
                                  int64_t ld, int rows, int depth)
{
    const int two = 2 * COPY(VECTOR);
    int64_t j = 0;
    for (; j + two <= ld; j += two) COPY(tiles)(C + j, A, rs, cs, B + j, ld, rows, depth, 2);
    if (j < ld) COPY(tiles)(C + j, A, rs, cs, B + j, ld, rows, depth, 1);
}

#undef TARGET
#undef VECTOR_BYTES
#undef COPY
