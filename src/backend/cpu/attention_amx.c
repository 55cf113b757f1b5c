/* attention in bf16 on AMX tiles: products, and the path. */
#if defined(__x86_64__)
#include "backend/cpu/attention_amx.h"
#include "backend/cpu/attention_f32.h"

void amx_begin(void)
{
    /* Intel SDM volume 1, 18.3: palette 1, then bytes per row and rows of each tile. */
    static const struct {
        uint8_t palette, start_row, reserved[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } config = {.palette = 1,
                .row_bytes = {64, 64, 64, 64, 64, 64, 64, 64},
                .rows = {16, 16, 16, 16, 16, 16, 16, 16}};
    __asm__ volatile("ldtilecfg %0" ::"m"(config));
}

static inline void load_operands(const amx_product *p, int64_t k)
{
    const char *left = (const char *)p->left + k * p->left_step;
    const char *right = (const char *)p->right + k * p->right_step;
    TILE_LOAD(4, left);
    TILE_LOAD(6, right);
    if (!p->one_left) TILE_LOAD(5, left + p->left_second);
    if (!p->one_right) TILE_LOAD(7, right + p->right_second);
}

void amx_multiply(const amx_product *p)
{
    char *sums = p->sums;
    TILE_ZERO(0);
    TILE_ZERO(1);
    TILE_ZERO(2);
    TILE_ZERO(3);
    if (p->add) {
        TILE_LOAD(0, sums);
        if (!p->one_left) TILE_LOAD(1, sums + 1024);
        if (!p->one_right) TILE_LOAD(2, sums + 2048);
        if (!p->one_left && !p->one_right) TILE_LOAD(3, sums + 3072);
    }
    for (int64_t k = 0; k < p->steps; k++) {
        load_operands(p, k);
        TILE_DOT(0, 4, 6);
        if (!p->one_left) TILE_DOT(1, 5, 6);
        if (!p->one_right) TILE_DOT(2, 4, 7);
        if (!p->one_left && !p->one_right) TILE_DOT(3, 5, 7);
    }
    TILE_STORE(0, sums);
    if (!p->one_left) TILE_STORE(1, sums + 1024);
    if (!p->one_right) TILE_STORE(2, sums + 2048);
    if (!p->one_left && !p->one_right) TILE_STORE(3, sums + 3072);
}

void amx_end(void) { __asm__ volatile("tilerelease" ::: "memory"); }

const attention_path attention_amx = {
    .name = "amx",
    .level = ISA_AMX,
    .bf16_only = true,
    .steps = &attention_f32_avx512,
    .forward = {amx_forward_shared, amx_forward_own, amx_forward_tasks, amx_forward_run},
    .gradient = {amx_gradient_shared, amx_gradient_own, amx_gradient_tasks, amx_gradient_run}};
#endif
