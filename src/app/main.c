#include "core/arena.h"

int main(void)
{
    arena_tune_malloc();
    return 0;
}
