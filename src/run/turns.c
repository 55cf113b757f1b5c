#include "run/turns.h"

#include <stdbool.h>
#include <stdlib.h>

soda_status turns_deal(const int *network, int64_t pieces, int networks, int rank, int ranks,
                       int group, turns *dealt)
{
    const int64_t groups = ranks / group, own = rank / group, place = rank % group;
    int64_t round = 0, within = 0; /* the next piece: its round, and its place there */
    dealt->count = 0;
    dealt->list = malloc((size_t)(pieces + 1) * sizeof *dealt->list);
    if (!dealt->list) return FAIL(SODA_ERR_MEMORY, "out of memory");
    for (int n = 0; n < networks; n++) {
        for (int64_t i = 0; i < pieces; i++) {
            if (network && network[i] != n) continue;
            const bool ours = round % groups == own;
            if (ours && within == 0) dealt->list[dealt->count++] = (turn){n, -1};
            if (ours && within == place) dealt->list[dealt->count - 1].piece = i;
            if (++within < group) continue;
            within = 0;
            round++;
        }
        if (within > 0) round++; /* the rest of a round is nobody's */
        within = 0;
    }
    return SODA_OK;
}

void turns_free(turns *dealt)
{
    free(dealt->list);
    *dealt = (turns){0};
}
